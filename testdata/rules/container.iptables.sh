#!/bin/sh
# Made by `danelaw rules print --format iptables` from its configuration.
# sh FILE          puts the rules in place, or makes them as they should be; may be run any number of times
# sh FILE remove   takes them away but for the guard, which refuses mail
# sh FILE open     takes the guard away as well
# IPTABLES and IP6TABLES name other programs, as iptables-legacy and ip6tables-legacy.
set -eu
ip4=${IPTABLES:-iptables}
ip6=${IP6TABLES:-ip6tables}

enter() {
  for program in "$ip4" "$ip6"; do
    "$program" -w -t "$1" -C "$2" -j "$3" 2>/dev/null || "$program" -w -t "$1" -I "$2" -j "$3"
  done
}

leave() {
  for program in "$ip4" "$ip6"; do
    while "$program" -w -t "$1" -D "$2" -j "$3" 2>/dev/null; do :; done
  done
}

each() {
  for program in "$ip4" "$ip6"; do
    "$program" -w "$@" 2>/dev/null || :
  done
}

apply() {
  "$ip4-restore" -w --noflush <<'END'
*nat
:DANELAW_OUT - [0:0]
:DANELAW_OUT_SMTP - [0:0]
-A DANELAW_OUT -p tcp -m multiport --dports 25 -j DANELAW_OUT_SMTP
-A DANELAW_OUT_SMTP -d 192.0.2.78 -p tcp -j REDIRECT --to-ports 10225
-A DANELAW_OUT_SMTP -m mark --mark 0x25/0xff -j RETURN
-A DANELAW_OUT_SMTP -m addrtype --dst-type LOCAL -j RETURN
-A DANELAW_OUT_SMTP -p tcp -j REDIRECT --to-ports 10225
COMMIT
*filter
:DANELAW_GUARD_OUT - [0:0]
:DANELAW_GUARD_OUT_SMTP - [0:0]
-A DANELAW_GUARD_OUT ! -o lo -p tcp --syn -m multiport --dports 25 -j DANELAW_GUARD_OUT_SMTP
-A DANELAW_GUARD_OUT_SMTP -m mark --mark 0x25/0xff -j RETURN
-A DANELAW_GUARD_OUT_SMTP -p tcp -j REJECT --reject-with tcp-reset
COMMIT
END
  "$ip6-restore" -w --noflush <<'END'
*nat
:DANELAW_OUT - [0:0]
:DANELAW_OUT_SMTP - [0:0]
-A DANELAW_OUT -p tcp -m multiport --dports 25 -j DANELAW_OUT_SMTP
-A DANELAW_OUT_SMTP -d 2001:db8::78 -p tcp -j REDIRECT --to-ports 10225
-A DANELAW_OUT_SMTP -m mark --mark 0x25/0xff -j RETURN
-A DANELAW_OUT_SMTP -m addrtype --dst-type LOCAL -j RETURN
-A DANELAW_OUT_SMTP -p tcp -j REDIRECT --to-ports 10225
COMMIT
*filter
:DANELAW_GUARD_OUT - [0:0]
:DANELAW_GUARD_OUT_SMTP - [0:0]
-A DANELAW_GUARD_OUT ! -o lo -p tcp --syn -m multiport --dports 25 -j DANELAW_GUARD_OUT_SMTP
-A DANELAW_GUARD_OUT_SMTP -m mark --mark 0x25/0xff -j RETURN
-A DANELAW_GUARD_OUT_SMTP -p tcp -j REJECT --reject-with tcp-reset
COMMIT
END
  enter filter OUTPUT DANELAW_GUARD_OUT
  enter nat OUTPUT DANELAW_OUT
}

# Mail is refused until the rules are applied again.
remove() {
  leave nat OUTPUT DANELAW_OUT
  each -t nat -F DANELAW_OUT
  each -t nat -F DANELAW_OUT_SMTP
  each -t nat -X DANELAW_OUT
  each -t nat -X DANELAW_OUT_SMTP
}

# Mail leaves as it did before there were any rules: unjudged.
open() {
  remove
  leave filter OUTPUT DANELAW_GUARD_OUT
  each -t filter -F DANELAW_GUARD_OUT
  each -t filter -F DANELAW_GUARD_OUT_SMTP
  each -t filter -X DANELAW_GUARD_OUT
  each -t filter -X DANELAW_GUARD_OUT_SMTP
}

case ${1:-apply} in
  apply | remove | open) "${1:-apply}" ;;
  *)
    echo "usage: $0 [apply|remove|open]" >&2
    exit 64
    ;;
esac
