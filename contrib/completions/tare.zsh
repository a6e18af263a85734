#compdef tare
# Written by `tare completion zsh`; see core/tare/cli/completion.py.
autoload -U +X bashcompinit && bashcompinit
_tare() {
  local current="${COMP_WORDS[COMP_CWORD]}" verb="" index=1 word words="" flags="" names=""
  while [ "$index" -lt "$COMP_CWORD" ]; do
    word="${COMP_WORDS[index]}"
    case "$word" in
      -H|--host) [ -z "$verb" ] && index=$((index + 1)) ;;
      -*) ;;
      *) case "$verb" in
           "") verb="$word" ;;
           container|image|network|plugin|config|system) verb="$verb $word" ;;
         esac ;;
    esac
    index=$((index + 1))
  done
  case "$verb" in
    "") words="attach config container create events exec history image images import info inspect kill load logs network pause plugin port ps rename restart rm rmi run save start stop system tag top unpause version wait"; flags="--host --debug --version -H -D -v" ;;
    container) words="attach create exec inspect kill list logs ls pause port prune ps remove rename restart rm run start stop top unpause wait" ;;
    image) words="history import inspect list load ls prune remove rm rmi save tag" ;;
    network) words="inspect list ls prune" ;;
    plugin) words="inspect list ls" ;;
    config) words="import show" ;;
    system) words="df events info prune" ;;
    "attach") flags="--detach-keys --no-stdin --sig-proxy"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "config import") flags=""; names="" ;;
    "config show") flags="--format -f"; names="" ;;
    "container attach") flags="--detach-keys --no-stdin --sig-proxy"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container create") flags="--add-host --annotation --attach --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent --cgroupns --cidfile --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpu-shares --cpus --cpuset-cpus --cpuset-mems --device --device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps --device-write-iops --dns --dns-option --dns-search --domainname --entrypoint --env --env-file --expose --group-add --health-cmd --health-interval --health-retries --health-start-interval --health-start-period --health-timeout --hostname --init --interactive --ip --ip6 --ipc --label --label-file --link --link-local-ip --log-driver --log-opt --mac-address --memory --memory-reservation --memory-swap --memory-swappiness --mount --name --network --network-alias --no-healthcheck --oom-kill-disable --oom-score-adj --pid --pids-limit --platform --privileged --publish --publish-all --pull --quiet --read-only --restart --rm --runtime --security-opt --shm-size --stop-signal --stop-timeout --storage-driver --storage-opt --sysctl --tmpfs --tty --ulimit --user --userns --uts --volume --volume-driver --volumes-from --workdir -a -c -e -h -i -l -m -p -P -q -t -u -v -w"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "container exec") flags="--detach --detach-keys --env --env-file --interactive --privileged --tty --user --workdir -d -e -i -t -u -w"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container inspect") flags="--format --size -f -s"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container kill") flags="--signal -s"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container list") flags="--all --filter --format --last --latest --no-trunc --quiet --size -a -f -n -l -q -s"; names="" ;;
    "container logs") flags="--details --follow --since --tail --timestamps --until -f -n -t"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container ls") flags="--all --filter --format --last --latest --no-trunc --quiet --size -a -f -n -l -q -s"; names="" ;;
    "container pause") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container port") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container prune") flags="--filter --force -f"; names="" ;;
    "container ps") flags="--all --filter --format --last --latest --no-trunc --quiet --size -a -f -n -l -q -s"; names="" ;;
    "container remove") flags="--force --link --volumes -f -l -v"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container rename") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container restart") flags="--signal --timeout -s -t"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container rm") flags="--force --link --volumes -f -l -v"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container run") flags="--add-host --annotation --attach --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent --cgroupns --cidfile --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpu-shares --cpus --cpuset-cpus --cpuset-mems --device --device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps --device-write-iops --dns --dns-option --dns-search --domainname --entrypoint --env --env-file --expose --group-add --health-cmd --health-interval --health-retries --health-start-interval --health-start-period --health-timeout --hostname --init --interactive --ip --ip6 --ipc --label --label-file --link --link-local-ip --log-driver --log-opt --mac-address --memory --memory-reservation --memory-swap --memory-swappiness --mount --name --network --network-alias --no-healthcheck --oom-kill-disable --oom-score-adj --pid --pids-limit --platform --privileged --publish --publish-all --pull --quiet --read-only --restart --rm --runtime --security-opt --shm-size --stop-signal --stop-timeout --storage-driver --storage-opt --sysctl --tmpfs --tty --ulimit --user --userns --uts --volume --volume-driver --volumes-from --workdir --detach --detach-keys --sig-proxy -a -c -e -h -i -l -m -p -P -q -t -u -v -w -d"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "container start") flags="--attach --detach-keys --interactive -a -i"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container stop") flags="--signal --timeout -s -t"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container top") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container unpause") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "container wait") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "create") flags="--add-host --annotation --attach --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent --cgroupns --cidfile --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpu-shares --cpus --cpuset-cpus --cpuset-mems --device --device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps --device-write-iops --dns --dns-option --dns-search --domainname --entrypoint --env --env-file --expose --group-add --health-cmd --health-interval --health-retries --health-start-interval --health-start-period --health-timeout --hostname --init --interactive --ip --ip6 --ipc --label --label-file --link --link-local-ip --log-driver --log-opt --mac-address --memory --memory-reservation --memory-swap --memory-swappiness --mount --name --network --network-alias --no-healthcheck --oom-kill-disable --oom-score-adj --pid --pids-limit --platform --privileged --publish --publish-all --pull --quiet --read-only --restart --rm --runtime --security-opt --shm-size --stop-signal --stop-timeout --storage-driver --storage-opt --sysctl --tmpfs --tty --ulimit --user --userns --uts --volume --volume-driver --volumes-from --workdir -a -c -e -h -i -l -m -p -P -q -t -u -v -w"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "events") flags="--filter --format --since --until -f"; names="" ;;
    "exec") flags="--detach --detach-keys --env --env-file --interactive --privileged --tty --user --workdir -d -e -i -t -u -w"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "history") flags="--format --human --no-trunc --platform --quiet -H -q"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image history") flags="--format --human --no-trunc --platform --quiet -H -q"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image import") flags="--change --message --platform -c -m"; names="" ;;
    "image inspect") flags="--format --platform -f"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image list") flags="--all --digests --filter --format --no-trunc --quiet -a -f -q"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image load") flags="--input --platform --quiet -i -q"; names="" ;;
    "image ls") flags="--all --digests --filter --format --no-trunc --quiet -a -f -q"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image prune") flags="--all --filter --force -a -f"; names="" ;;
    "image remove") flags="--force --no-prune --platform -f"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image rm") flags="--force --no-prune --platform -f"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image rmi") flags="--force --no-prune --platform -f"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image save") flags="--output --platform -o"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "image tag") flags=""; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "images") flags="--all --digests --filter --format --no-trunc --quiet -a -f -q"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "import") flags="--change --message --platform -c -m"; names="" ;;
    "info") flags="--format -f"; names="" ;;
    "inspect") flags="--format --size --type -f -s"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "kill") flags="--signal -s"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "load") flags="--input --platform --quiet -i -q"; names="" ;;
    "logs") flags="--details --follow --since --tail --timestamps --until -f -n -t"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "network inspect") flags="--format --verbose -f -v"; names="env TARE_NO_AUTOSTART=1 tare network ls --format '{{.Name}}'" ;;
    "network list") flags="--filter --format --no-trunc --quiet -f -q"; names="" ;;
    "network ls") flags="--filter --format --no-trunc --quiet -f -q"; names="" ;;
    "network prune") flags="--filter --force -f"; names="" ;;
    "pause") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "plugin inspect") flags="--format -f"; names="env TARE_NO_AUTOSTART=1 tare plugin ls --format '{{.Name}}'" ;;
    "plugin list") flags="--format --no-trunc --quiet -q"; names="" ;;
    "plugin ls") flags="--format --no-trunc --quiet -q"; names="" ;;
    "port") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "ps") flags="--all --filter --format --last --latest --no-trunc --quiet --size -a -f -n -l -q -s"; names="" ;;
    "rename") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "restart") flags="--signal --timeout -s -t"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "rm") flags="--force --link --volumes -f -l -v"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "rmi") flags="--force --no-prune --platform -f"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "run") flags="--add-host --annotation --attach --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent --cgroupns --cidfile --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpu-shares --cpus --cpuset-cpus --cpuset-mems --device --device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps --device-write-iops --dns --dns-option --dns-search --domainname --entrypoint --env --env-file --expose --group-add --health-cmd --health-interval --health-retries --health-start-interval --health-start-period --health-timeout --hostname --init --interactive --ip --ip6 --ipc --label --label-file --link --link-local-ip --log-driver --log-opt --mac-address --memory --memory-reservation --memory-swap --memory-swappiness --mount --name --network --network-alias --no-healthcheck --oom-kill-disable --oom-score-adj --pid --pids-limit --platform --privileged --publish --publish-all --pull --quiet --read-only --restart --rm --runtime --security-opt --shm-size --stop-signal --stop-timeout --storage-driver --storage-opt --sysctl --tmpfs --tty --ulimit --user --userns --uts --volume --volume-driver --volumes-from --workdir --detach --detach-keys --sig-proxy -a -c -e -h -i -l -m -p -P -q -t -u -v -w -d"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "save") flags="--output --platform -o"; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "start") flags="--attach --detach-keys --interactive -a -i"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "stop") flags="--signal --timeout -s -t"; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "system df") flags="--format --verbose -v"; names="" ;;
    "system events") flags="--filter --format --since --until -f"; names="" ;;
    "system info") flags="--format -f"; names="" ;;
    "system prune") flags="--all --filter --force -a -f"; names="" ;;
    "tag") flags=""; names="env TARE_NO_AUTOSTART=1 tare images --filter dangling=false --format '{{.Repository}}:{{.Tag}}'" ;;
    "top") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "unpause") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
    "version") flags="--format -f"; names="" ;;
    "wait") flags=""; names="env TARE_NO_AUTOSTART=1 tare ps -a --format '{{.Names}}'" ;;
  esac
  case "${COMP_WORDS[COMP_CWORD-1]}" in
    --network|--net) names="env TARE_NO_AUTOSTART=1 tare network ls --format '{{.Name}}'" ;;
  esac
  case "$current" in
    -*) words="$flags" ;;
    *) [ -n "$names" ] && words="$(eval "$names" 2>/dev/null)" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _tare tare
