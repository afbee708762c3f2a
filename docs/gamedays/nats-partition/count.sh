# What there is of all events, and since when.
echo 'select min(created_at), max(created_at), count(*) from events' | psql -X -h db -U postgres
curl -fsS http://gateway:8080/events
curl -fsS http://reporting:8080/events
