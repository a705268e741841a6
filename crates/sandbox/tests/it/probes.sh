# Each probe tries to get out, and prints ESCAPED with what it got. Nothing may be printed but DONE. Where one gets through, it
# leaves the machine as it was; still, they are run nowhere else.
[ "$(cat /proc/1/comm)" = bwrap ] || { echo "ESCAPED: this is no sandbox"; exit; }
escaped() { echo "ESCAPED: $1"; }
py() { python3 -c "$2" 2>/dev/null && escaped "$1"; }

# Files of the machine.
for file in /etc/shadow /etc/gshadow /etc/sudoers /etc/ssh/ssh_host_ed25519_key /root/.bashrc /root/.npmrc /root/.cargo/config.toml \
  /root/.ssh/id_ed25519 /var/log/dpkg.log /proc/kcore /proc/1/mem /dev/mem /dev/kmem /dev/vda /dev/sda /run/docker.sock "$CANARY"; do
  head -c 1 "$file" 2>/dev/null | grep -q . && escaped "reads $file"
done
ls /root/* /home/*/.ssh /var/lib/dpkg /boot /run/systemd 2>/dev/null | grep -q . && escaped "lists folders of the machine"
find / -xdev -name 'patchwright-canary*' 2>/dev/null | grep -q . && escaped "finds files of the machine"
for file in /escaped /usr/escaped /etc/escaped /dev/escaped /proc/escaped /usr/bin/escaped /home/escaped /run/escaped /var/escaped; do
  (: >> "$file") 2>/dev/null && escaped "writes $file" && rm -f "$file"
done
(: >> /etc/passwd) 2>/dev/null && escaped "writes /etc/passwd"
for file in /proc/sys/kernel/core_pattern /proc/sys/kernel/printk /proc/sys/vm/drop_caches /proc/sysrq-trigger /proc/sys/kernel/hostname \
  /proc/sys/user/max_user_namespaces /sys/kernel/uevent_helper /proc/self/oom_score_adj_none; do
  [ -e "$file" ] && (: >> "$file") 2>/dev/null && escaped "writes $file"
done
mknod device b 8 0 2>/dev/null && escaped "makes a device"
find / -xdev -perm -4000 -type f 2>/dev/null | head -1 | grep -q . && [ "$(sed -n 's/^NoNewPrivs:[[:space:]]*//p' /proc/self/status)" != 1 ] && escaped "gets rights by setuid programs"
ln -s /etc/shadow link 2>/dev/null; cat link 2>/dev/null | grep -q root && escaped "reads through a link"
ln /etc/hostname hard 2>/dev/null && escaped "links a file of the machine"

# Processes, and what they know.
for process in /proc/[0-9]*; do
  tr '\0' '\n' < "$process/environ" 2>/dev/null | grep -q "$SECRET_MARK" && escaped "reads the environment of $process"
  tr '\0' ' ' < "$process/cmdline" 2>/dev/null | grep -q -- "--ro-[b]ind" && escaped "reads the mounts in the arguments of $process"
done
env | grep -q "$SECRET_MARK" && escaped "has the environment of the server"
[ -d "/proc/$SERVER/fd" ] && grep -q "$SERVER_NAME" "/proc/$SERVER/comm" 2>/dev/null && escaped "sees the server"
kill -0 "$SERVER" 2>/dev/null && grep -q "$SERVER_NAME" "/proc/$SERVER/comm" 2>/dev/null && escaped "signals the server"
[ "$(ls -d /proc/[0-9]* | wc -l)" -gt 20 ] && escaped "sees the processes of the machine"
[ -n "$CARGO_MAKEFLAGS" ] || ls /proc/self/fd/ | while read -r number; do
  [ "$number" -gt 4 ] && readlink "/proc/self/fd/$number" 2>/dev/null | grep -q . && escaped "has the descriptor $number: $(readlink "/proc/self/fd/$number")"
done
py "traces another process" 'import ctypes,os; p=os.getppid(); exit(0 if ctypes.CDLL(None).ptrace(16,p,0,0)==0 else 1)'
py "reads memory of another process" 'import os; open("/proc/%d/mem" % os.getppid(),"rb").read(1)'

# Rights.
grep -Eq '^Cap(Inh|Prm|Eff|Bnd|Amb):[[:space:]]*0*[1-9a-f]' /proc/self/status && escaped "has capabilities"
grep -q '^Seccomp:[[:space:]]*2$' /proc/self/status || escaped "has no filter of system calls"
unshare -U true 2>/dev/null && escaped "makes a user namespace"
unshare -n true 2>/dev/null && escaped "makes a network namespace"
unshare -m true 2>/dev/null && escaped "makes a mount namespace"
mkdir -p place; mount -t tmpfs none place 2>/dev/null && escaped "mounts"
mount -o remount,rw / 2>/dev/null && escaped "remounts the root"
mount -o bind / place 2>/dev/null && escaped "binds the root"
chroot / true 2>/dev/null && escaped "changes the root"
nsenter -t 1 -m true 2>/dev/null && escaped "enters a namespace"
setpriv --reuid 0 true 2>/dev/null && escaped "becomes root"
date -s "$(date)" >/dev/null 2>&1 && escaped "sets the clock"
hostname "$(hostname)" 2>/dev/null && escaped "sets the host name"
renice -n -5 $$ >/dev/null 2>&1 && escaped "raises its priority"
ulimit -n 1000000 2>/dev/null && escaped "raises its limits"
for call in "keyctl 250 0 0" "add_key 248 0 0" "bpf 321 0 0" "perf_event_open 298 0 0" "io_uring_setup 425 1 0" "userfaultfd 323 0 0" \
  "process_vm_readv 310 1 0" "open_by_handle_at 304 0 0" "kexec_load 246 0 0" "init_module 175 0 0" "pidfd_getfd 438 0 0" \
  "fsopen 430 0 0" "setns 308 0 0" "x32_ptrace 1073742345 16 1" "clone3 435 0 0"; do
  set -- $call
  [ "$(uname -m)" = x86_64 ] || break
  python3 -c "
import ctypes,sys
libc=ctypes.CDLL(None,use_errno=True)
answer=libc.syscall(ctypes.c_long($2),ctypes.c_long($3),ctypes.c_long($4),0,0,0)
sys.exit(0 if answer>=0 or ctypes.get_errno() not in (1,38) else 1)" 2>/dev/null && escaped "may call $1"
done
py "types into the terminal" 'import fcntl,sys; fcntl.ioctl(0,0x5412,b"x")'
py "opens a socket to the hypervisor" 'import socket; socket.socket(40,socket.SOCK_STREAM)'
py "opens a socket of the kernel's cryptography" 'import socket; socket.socket(38,5,0)'
py "opens a raw socket" 'import socket; socket.socket(socket.AF_INET,socket.SOCK_RAW,1)'
py "opens a packet socket" 'import socket; socket.socket(17,3,0)'

# The network.
py "reaches a service of the machine" "import socket; socket.create_connection(('127.0.0.1',$PORT),2)"
py "reaches a service of the machine by its name" "import socket; socket.create_connection(('localhost',$PORT),2)"
py "reaches an abstract socket of the machine" "import socket; s=socket.socket(socket.AF_UNIX); s.connect('\0$ABSTRACT')"
py "reaches a socket of the machine" "import socket; s=socket.socket(socket.AF_UNIX); s.connect('$SOCKET')"
py "reaches the metadata of a cloud" "import socket; socket.create_connection(('169.254.169.254',80),2)"
py "reaches the internet" "import socket; socket.create_connection(('1.1.1.1',53),2)"
py "resolves names" "import socket; socket.getaddrinfo('example.com',80)"
py "sends a datagram" "import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.sendto(b'x',('1.1.1.1',53))"
[ "$(grep -c : /proc/net/dev)" -le 1 ] || escaped "sees network interfaces"
rm -rf link hard device place
echo DONE
