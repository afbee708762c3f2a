# The markers in the store, one a line.
exec etcdctl --endpoints=store-1:2379,store-2:2379,store-3:2379 --command-timeout=5s get --prefix --print-value-only "capsules/$RUN/"
