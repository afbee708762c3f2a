# A marker as an event: 202 means that the gateway answers for it.
exec curl -fsS -m 2 http://gateway:8080/events -d "{\"id\": \"$RUN-$MARKER\", \"run\": \"$RUN\", \"marker\": \"$MARKER\"}"
