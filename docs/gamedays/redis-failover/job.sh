# A marker through the api: 202 means that the api answers for it.
exec curl -fsS -m 2 http://api:8080/jobs -d "{\"id\": \"$RUN-$MARKER\", \"run\": \"$RUN\", \"marker\": \"$MARKER\"}"
