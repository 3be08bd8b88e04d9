#!/bin/sh
# Starts nginx with nginx.conf on a free port: nginx.sh [DIRECTIVE]. Without a directive it answers with a file.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'kill $nginx 2>/dev/null; wait $nginx; rm -r "$folder"' TERM INT
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf 'Hello from the other side.\n' >"$folder/index.html"
sed -e "s#{folder}#$folder#g" -e "s#{port}#$port#g" -e "s#{answer}#${1-}#g" "$(dirname "$0")/nginx.conf" >"$folder/nginx.conf"
nginx -c "$folder/nginx.conf" >/dev/null 2>&1 &
nginx=$!
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null; do
    kill -0 $nginx
done
echo "listening on 127.0.0.1:$port"
wait $nginx
