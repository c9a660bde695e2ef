#!/bin/sh
# map_nodes.sh - each symbol of lib/libgraceclose.map: NODE SYMBOL, sorted
exec awk '$2 == "{" { node = $1 }
    /^global:/ { global = 1 }
    /^local:/ || /^}/ { global = 0 }
    global && /^[ \t]*[a-z_]+;$/ { sub(/;/, ""); print node, $1 | "sort" }' \
    lib/libgraceclose.map
