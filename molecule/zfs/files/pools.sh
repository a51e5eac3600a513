#!/bin/sh
# Pools on files, and what the jobs of the inventory back up.
set -eu
mkdir -p /var/pools
truncate --size=3G /var/pools/tank
truncate --size=512M /var/pools/second
truncate --size=96M /var/pools/tiny
zpool create -O atime=off -O xattr=sa -O acltype=posix tank /var/pools/tank
zpool create -O mountpoint=/second second /var/pools/second
zpool create -O mountpoint=none tiny /var/pools/tiny

zfs create tank/slow
zfs create tank/app
zfs create tank/app/child
zfs create "tank/app/with space"
zfs create -o mountpoint=/var/elsewhere tank/app/away
zfs create -o canmount=off tank/app/box
zfs create tank/app/box/inner
zfs create -o mountpoint=/srv/web tank/web
zfs create -o mountpoint=/srv/part tank/part
zfs create tank/part/beside
zfs create -o mountpoint=/srv/two second/two
zfs create -o mountpoint=/srv/tiny tiny/full
zfs create tank/safe
echo 12345678 | zfs create -o encryption=on -o keyformat=passphrase tank/safe/secret
echo secret > /tank/safe/secret/file
zfs create tank/many
for number in $(seq 1 49); do
    zfs create "tank/many/d$number"
done

mkdir -p /srv/web/site /srv/part/in /srv/part/out
systemctl daemon-reload
systemctl start writer
