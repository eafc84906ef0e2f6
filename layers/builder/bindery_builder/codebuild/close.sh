#!/bin/sh
# Closes to the steps of a container build what only CodeBuild's own machine is to see. Run before anything of a repository is.
#
# Steps run behind docker's bridge. From there the credentials of the project (169.254.170.2), the machine's own (169.254.169.254)
# and everything else that is link-local is refused, and so is the machine itself, whatever listens on it. Amazon's resolver is
# link-local, too, and stays reachable for names. The daemon fetches what a Dockerfile adds (ADD http://...) from the machine
# itself: there the machine's own credentials are closed for everybody; the project's lie behind a path that no step is told.
# CodeBuild's image has the daemon listen on loopback, too (tcp://127.0.0.1:2375), without any password: there it is closed for
# everybody as well, the daemon included. Our own commands speak to its socket. No step shares the machine's network: BuildKit
# runs `RUN --network=host` only if whoever builds allows it (--allow network.host), and nobody does; if one did, these rules
# would meet it, too.
set -eu
bridge=${1:-docker0}
link_local=169.254.0.0/16

iptables --wait -I FORWARD -i "$bridge" -d "$link_local" -j REJECT
for protocol in udp tcp; do
    iptables --wait -I FORWARD -i "$bridge" -d 169.254.169.253 -p "$protocol" --dport 53 -j ACCEPT
done
iptables --wait -I INPUT -i "$bridge" -j REJECT
iptables --wait -I OUTPUT -d 169.254.169.254 -j REJECT
for port in 2375 2376; do
    iptables --wait -I OUTPUT -o lo -p tcp --dport "$port" -j REJECT
done
