# The markers that are in the database, one a line: `got.sh write` or `got.sh job`. What was done twice is there twice.
echo "select marker from ledger where run = :'run' and kind = :'kind'" |
    exec psql -X -q -A -t -h database -U postgres -v run="$RUN" -v kind="$1"
