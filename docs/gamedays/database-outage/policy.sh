# A marker into PostgreSQL by way of plato. 201 means that it is on the primary, and on the replica if there is one.
exec curl -fsS -m 5 http://plato:8080/policies -d "{\"id\": \"$RUN-$MARKER\", \"run\": \"$RUN\", \"marker\": \"$MARKER\"}"
