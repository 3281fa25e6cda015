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
*mangle
:DANELAW_IN - [0:0]
:DANELAW_IN_SMTP - [0:0]
:DANELAW_DIVERT - [0:0]
-A DANELAW_IN -p tcp -m socket --transparent --nowildcard -j DANELAW_DIVERT
-A DANELAW_IN -p icmp -m socket --transparent --nowildcard -j DANELAW_DIVERT
-A DANELAW_IN -i lan0 -p tcp -m multiport --dports 25 -j DANELAW_IN_SMTP
-A DANELAW_IN_SMTP -m addrtype --dst-type LOCAL -j RETURN
-A DANELAW_IN_SMTP -p tcp -j TPROXY --on-port 10125 --tproxy-mark 0x25/0xff
-A DANELAW_DIVERT -j MARK --set-xmark 0x25/0xff
-A DANELAW_DIVERT -j ACCEPT
COMMIT
*filter
:DANELAW_GUARD_FWD - [0:0]
:DANELAW_GUARD_FWD_SMTP - [0:0]
:DANELAW_INPUT - [0:0]
:DANELAW_STRANGERS - [0:0]
-A DANELAW_GUARD_FWD -i lan0 -p tcp -m multiport --dports 25 -j DANELAW_GUARD_FWD_SMTP
-A DANELAW_GUARD_FWD_SMTP -p tcp -j REJECT --reject-with tcp-reset
-A DANELAW_INPUT -p tcp --syn --dport 10125 -j DANELAW_STRANGERS
-A DANELAW_STRANGERS -i lo -j RETURN
-A DANELAW_STRANGERS -i lan0 -j RETURN
-A DANELAW_STRANGERS -p tcp -j REJECT --reject-with tcp-reset
COMMIT
END
  "$ip6-restore" -w --noflush <<'END'
*mangle
:DANELAW_IN - [0:0]
:DANELAW_IN_SMTP - [0:0]
:DANELAW_DIVERT - [0:0]
-A DANELAW_IN -p tcp -m socket --transparent --nowildcard -j DANELAW_DIVERT
-A DANELAW_IN -p ipv6-icmp -m socket --transparent --nowildcard -j DANELAW_DIVERT
-A DANELAW_IN -i lan0 -p tcp -m multiport --dports 25 -j DANELAW_IN_SMTP
-A DANELAW_IN_SMTP -m addrtype --dst-type LOCAL -j RETURN
-A DANELAW_IN_SMTP -p tcp -j TPROXY --on-port 10125 --tproxy-mark 0x25/0xff
-A DANELAW_DIVERT -j MARK --set-xmark 0x25/0xff
-A DANELAW_DIVERT -j ACCEPT
COMMIT
*filter
:DANELAW_GUARD_FWD - [0:0]
:DANELAW_GUARD_FWD_SMTP - [0:0]
:DANELAW_INPUT - [0:0]
:DANELAW_STRANGERS - [0:0]
-A DANELAW_GUARD_FWD -i lan0 -p tcp -m multiport --dports 25 -j DANELAW_GUARD_FWD_SMTP
-A DANELAW_GUARD_FWD_SMTP -p tcp -j REJECT --reject-with tcp-reset
-A DANELAW_INPUT -p tcp --syn --dport 10125 -j DANELAW_STRANGERS
-A DANELAW_STRANGERS -i lo -j RETURN
-A DANELAW_STRANGERS -i lan0 -j RETURN
-A DANELAW_STRANGERS -p tcp -j REJECT --reject-with tcp-reset
COMMIT
END
  ip -4 rule del pref 25250 2>/dev/null || :
  ip -4 rule del pref 25251 2>/dev/null || :
  ip -4 route replace local default dev lo table 2525
  ip -4 rule add pref 25250 iif lan0 fwmark 0x25/0xff lookup 2525
  ip -4 rule add pref 25251 iif wan0 fwmark 0x25/0xff lookup 2525
  ip -6 rule del pref 25250 2>/dev/null || :
  ip -6 rule del pref 25251 2>/dev/null || :
  ip -6 route replace local default dev lo table 2525
  ip -6 rule add pref 25250 iif lan0 fwmark 0x25/0xff lookup 2525
  ip -6 rule add pref 25251 iif wan0 fwmark 0x25/0xff lookup 2525
  enter filter FORWARD DANELAW_GUARD_FWD
  enter mangle PREROUTING DANELAW_IN
  enter filter INPUT DANELAW_INPUT
}

# Mail is refused until the rules are applied again.
remove() {
  leave mangle PREROUTING DANELAW_IN
  leave filter INPUT DANELAW_INPUT
  each -t mangle -F DANELAW_IN
  each -t mangle -F DANELAW_IN_SMTP
  each -t mangle -F DANELAW_DIVERT
  each -t filter -F DANELAW_INPUT
  each -t filter -F DANELAW_STRANGERS
  each -t mangle -X DANELAW_IN
  each -t mangle -X DANELAW_IN_SMTP
  each -t mangle -X DANELAW_DIVERT
  each -t filter -X DANELAW_INPUT
  each -t filter -X DANELAW_STRANGERS
  ip -4 rule del pref 25250 2>/dev/null || :
  ip -4 rule del pref 25251 2>/dev/null || :
  ip -4 route del local default dev lo table 2525 2>/dev/null || :
  ip -6 rule del pref 25250 2>/dev/null || :
  ip -6 rule del pref 25251 2>/dev/null || :
  ip -6 route del local default dev lo table 2525 2>/dev/null || :
}

# Mail leaves as it did before there were any rules: unjudged.
open() {
  remove
  leave filter FORWARD DANELAW_GUARD_FWD
  each -t filter -F DANELAW_GUARD_FWD
  each -t filter -F DANELAW_GUARD_FWD_SMTP
  each -t filter -X DANELAW_GUARD_FWD
  each -t filter -X DANELAW_GUARD_FWD_SMTP
}

case ${1:-apply} in
  apply | remove | open) "${1:-apply}" ;;
  *)
    echo "usage: $0 [apply|remove|open]" >&2
    exit 64
    ;;
esac
