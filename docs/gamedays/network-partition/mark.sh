# A marker through the frontend: `mark.sh write` into the database, `mark.sh jobs` into the queue. Success means that it was acknowledged.
exec curl -fsS -m 8 "http://frontend:8080/$1" -d "{\"id\": \"$1-$RUN-$MARKER\", \"run\": \"$RUN\", \"marker\": \"$MARKER\"}"
