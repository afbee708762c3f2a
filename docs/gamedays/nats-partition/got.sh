# The markers that have come to the end, one a line. The ledger has no key: what was done twice is there twice.
echo "select marker from ledger where run = :'run'" | exec psql -X -q -A -t -h db -U postgres -v run="$RUN"
