# The markers on the primary, one a line.
echo "select marker from ledger where run = :'run'" |
    exec psql -X -q -A -t -v run="$RUN" "host=postgres-1,postgres-2 user=postgres target_session_attrs=primary connect_timeout=2"
