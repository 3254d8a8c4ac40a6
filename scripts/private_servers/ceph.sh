#!/usr/bin/env bash
# A Ceph cluster of one machine in the working folder: ceph.sh create, then ceph.sh serve, which ends with its caller.
# CEPH_CONF, MONITOR_PORT, GATEWAY_PORT, ACCESS_KEY, SECRET_KEY and OBJECTSTORE are in the environment.
set -euo pipefail

create() {
    mkdir -p mon osd run
    # One copy of everything suffices. What is deleted is soon gone, since memory is all that there is. Without
    # tcp_nodelay each small answer waits for the acknowledgement of the one before.
    cat >"$CEPH_CONF" <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = v2:127.0.0.1:$MONITOR_PORT/0
public addr = 127.0.0.1
keyring = $PWD/keyring
run dir = $PWD/run
pid file = $PWD/run/\$name.pid
admin socket = $PWD/run/\$name.asok
log file = $PWD/\$name.log
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 2
mon data avail crit = 1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
[mon.a]
mon data = $PWD/mon
[osd.0]
osd data = $PWD/osd
osd objectstore = $OBJECTSTORE
memstore device bytes = 4294967296
bluestore block size = 4294967296
osd memory target = 939524096
osd class update on start = false
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$GATEWAY_PORT tcp_nodelay=1
rgw gc obj min wait = 2
rgw gc processor period = 3
rgw thread pool size = 64
CONF
    ceph-authtool --create-keyring keyring --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    ceph-authtool keyring --gen-key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx'
    ceph-authtool keyring --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    monmaptool --create --addv a "[v2:127.0.0.1:$MONITOR_PORT]" --fsid "$(sed -n 's/^fsid = //p' "$CEPH_CONF")" monmap
    ceph-mon -i a --mkfs --monmap monmap --keyring keyring
}

serve() {
    local uuid
    ceph-mon -i a -f &
    uuid=$(cat /proc/sys/kernel/random/uuid)
    timeout 30 ceph osd new "$uuid"
    ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
    ceph-osd -i 0 -f &
    until timeout 10 ceph osd stat | grep -q '1 up'; do sleep 0.3; done
    timeout 10 ceph osd crush add osd.0 1 root=default host=localhost
    timeout 60 radosgw-admin user create --uid test --display-name Test \
        --access-key "$ACCESS_KEY" --secret-key "$SECRET_KEY"
    exec radosgw -n client.rgw -f
}

"$1"
