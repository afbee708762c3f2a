# The markers that are there, one a line.
exec etcdctl --endpoints=node1:2379,node2:2379,node3:2379 --command-timeout=5s get --prefix --print-value-only "$1/$RUN/"
