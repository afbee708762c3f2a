# A marker into the store by way of capsule. 201 and 202 both mean that capsule answers for it.
exec curl -fsS -m 5 http://capsule:8080/capsules -d "{\"key\": \"capsules/$RUN/$MARKER\", \"value\": \"$MARKER\"}"
