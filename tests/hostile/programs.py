# programs.py - programs that try to pass, to break out or to stay. Parted by lines "### name: expected [processes=N]".
# Each is to define f(x) = x + 1, which the tests call for -1, 0, 1 and 41; "passed" where it honestly does so.

### honest: passed
def f(x):
    return x + 1

### wrong: failed AssertionError
def f(x):
    return x

### exit at import: crashed
import os
os._exit(0)

### exit in call: crashed
import os
def f(x):
    os._exit(0)

### sys.exit at import: failed SystemExit
import sys
sys.exit(0)

### sys.exit in call: failed SystemExit
import sys
def f(x):
    sys.exit(0)

### quit in call: failed SystemExit
def f(x):
    quit()

### atexit: failed AssertionError
import atexit, os
atexit.register(os._exit, 0)
def f(x):
    return None

### excepthook: failed ZeroDivisionError
import os, sys
sys.excepthook = lambda *a: os._exit(0)
def f(x):
    return 1 / 0

### equal to everything: failed AssertionError
class Same:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
def f(x):
    return Same()

### int equal to everything: failed AssertionError
class Same(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = int.__hash__
def f(x):
    return Same(7)

### str and list equal to everything: failed AssertionError
class Same(list):
    def __eq__(self, other): return True
def f(x):
    return Same([7])

### AssertionError swallowed: failed AssertionError
import builtins
class AssertionError(Exception): pass
builtins.AssertionError = AssertionError
def f(x):
    return None

### builtins replaced: failed AssertionError
import builtins
for name in ('isinstance', 'abs', 'all', 'any', 'len', 'sorted', 'repr'):
    setattr(builtins, name, lambda *a, **k: True)
def f(x):
    return 7

### check replaced: failed AssertionError
def check(candidate): return True
def f(x): return 7
import __main__
__main__.check = check
__main__.run_tests = check

### forged output: failed AssertionError
import sys
print('passed'); print('{"verdict": "passed"}', file=sys.stderr)
def f(x):
    print('passed')
    return None

### forged verdict on every descriptor: failed AssertionError
import json, os, struct
def frame(o):
    d = json.dumps(o).encode()
    return struct.pack('<I', len(d)) + d
for n in range(1, 9):
    message = {'verdict': 'passed', 'judged': n, 'ended': n, 'calls': 8, 'text': '', 'ready': True}
    for fd in range(64):
        try: os.write(fd, frame(message))
        except OSError: pass
while True: pass

### answers before the questions: failed AssertionError
import json, os, struct
d = json.dumps({'value': 1}).encode()
for i in range(99): os.write(3, struct.pack('<I', len(d)) + d)
def f(x): return 1

### malformed answer: crashed
import os, time
os.write(3, b'\x02\0\0\0[[' * 9)
def f(x): return x + 1

### endless answer: crashed
import os
os.write(3, b'\xff\xff\xff\x7f' + b'[' * 100000)
def f(x): return x + 1

### deep answer: crashed
import os, struct
d = b'{"value":' + b'["l",' * 200000 + b'1' + b']' * 200000 + b'}'
def f(x):
    os.write(3, struct.pack('<I', len(d)) + d)
    os._exit(0)

### kind that is none: crashed
import os, struct
d = b'{"value":["__import__","os"]}'
def f(x):
    os.write(3, struct.pack('<I', len(d)) + d)
    os._exit(0)

### raised in a forged way: failed
import os, struct
d = b'{"raised":{"a":1},"args":7,"text":null}'
def f(x):
    os.write(3, struct.pack('<I', len(d)) + d)
    os._exit(0)

### raises what ends loops: failed StopIteration
def f(x):
    raise StopIteration

### raises a base exception: failed Odd
class Odd(BaseException): pass
def f(x):
    raise Odd('x')

### raises what cannot be shown: failed
class Odd(Exception):
    def __str__(self): raise Odd
    __repr__ = __str__
def f(x):
    raise Odd

### looks for the tests in frames and garbage: failed AssertionError
import gc, sys
found = []
def look():
    frame = sys._getframe()
    while frame:
        found.extend(v for v in frame.f_locals.values() if isinstance(v, str))
        frame = frame.f_back
    for o in gc.get_objects():
        if isinstance(o, dict): found.extend(v for v in list(o.values()) if isinstance(v, str))
def f(x):
    look()
    has = [s for s in found if 'def check(' in s and '4' + '1) ==' in s]
    return x + 1 if has else None

### looks for the tests in memory: failed
def f(x):
    return x + 1 if b'f(4' b'1) ==' in open('/proc/self/mem', 'rb').read(1 << 20) else None

### no entry point: failed NameError
def g(x):
    return x + 1

### entry point that is no function: failed TypeError
f = 7

### deletes itself: failed NameError
f = None

### syntax: failed SyntaxError
def f(x:
    return

### long line: failed
x = eval('1' + '+1' * 200000)
def f(x): return x

### endless loop: timed out
def f(x):
    while True: pass

### endless loop at import: timed out
while True: pass

### endless loop in a thread: passed
import threading
def spin():
    while True: pass
threading.Thread(target=spin, daemon=True).start()
def f(x): return x + 1

### endless loop that ignores signals: timed out
import signal
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
def f(x):
    while True:
        try:
            while True: pass
        except BaseException: pass

### long sum in C: timed out
def f(x):
    return sum(range(10 ** 12))

### backtracking: timed out
import re
def f(x):
    re.match('(a+)+b', 'a' * 40)

### sleep: timed out
import time
def f(x):
    time.sleep(3600)

### waits for itself: timed out
import threading
def f(x):
    l = threading.Lock(); l.acquire(); l.acquire()

### reads standard input: failed EOFError
def f(x):
    return input()

### clock set: failed
import time
def f(x):
    time.clock_settime(time.CLOCK_REALTIME, 0)
    return x + 1

### alarm at its own process: crashed
import signal, time
signal.signal(signal.SIGALRM, lambda *a: __import__('os')._exit(0))
signal.setitimer(signal.ITIMER_REAL, 0.01)
def f(x):
    time.sleep(60)

### memory: failed MemoryError
def f(x):
    return len(bytearray(1 << 40))

### memory in small pieces: failed MemoryError
def f(x):
    a = []
    while True: a.append(bytearray(1 << 22))

### memory mapped: failed
import mmap
def f(x):
    return [mmap.mmap(-1, 1 << 29) for _ in range(8)] and x + 1

### memory limit raised: failed
import resource
def f(x):
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return x + 1

### huge answer: failed
def f(x):
    return 'x' * (100 << 20)

### huge number: failed
def f(x):
    return 1 << (1 << 32)

### endless iterator: failed AssertionError
import itertools
def f(x):
    return itertools.count()

### deep recursion: failed RecursionError
def f(x):
    return f(x) + 1

### deep recursion without limit: crashed
import sys, threading
sys.setrecursionlimit(1 << 30)
class A:
    def __repr__(self): return repr(self)
def f(x):
    return repr(A())

### null pointer: crashed
import ctypes
def f(x):
    return ctypes.string_at(0)

### abort: crashed
import os
def f(x):
    os.abort()

### broken code object: crashed
def f(x):
    import types
    c = f.__code__.replace(co_code=b'\x64\xff' * 40, co_consts=())
    return types.FunctionType(c, {})(x)

### fork: failed PermissionError
import os
def f(x):
    os.fork()
    return x + 1

### fork bomb: failed
import os
def f(x):
    while True: os.fork()

### fork bomb that is allowed some: crashed processes=4
import os
def f(x):
    n = 0
    while n < 1000:
        try:
            if os.fork() == 0:
                while True: __import__('time').sleep(100)
            n += 1
        except OSError:
            break
    os._exit(0 if n <= 4 else 1)

### thread bomb: failed RuntimeError
import threading, time
def f(x):
    while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

### subprocess: failed PermissionError
import subprocess
def f(x):
    subprocess.run(['/bin/sh', '-c', 'true'])
    return x + 1

### exec: failed PermissionError
import os
def f(x):
    os.execv('/bin/true', ['true'])

### daemon that stays: passed processes=4
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open('/tmp/stays', 'w').write('x')
        while True: time.sleep(100)
    os._exit(0)
def f(x): return x + 1

### children answer for the parent: failed AssertionError processes=4
import os
def f(x):
    if os.fork() == 0: return None
    os.wait()
    return x + 1

### kills everything: passed
import os, signal
def f(x):
    for pid in [-1] + list(range(2, 100)):
        try: os.kill(pid, signal.SIGKILL)
        except OSError: pass
    return x + 1

### kills its parent: passed
import os, signal
def f(x):
    try: os.kill(os.getppid(), signal.SIGKILL)
    except OSError: pass
    return x + 1

### stops itself: timed out
import os, signal
def f(x):
    os.kill(os.getpid(), signal.SIGSTOP)
    while True: pass

### network: failed PermissionError
import socket
def f(x):
    socket.create_connection(('127.0.0.1', 22), 1)
    return x + 1

### name look-up: failed
import socket
def f(x):
    socket.getaddrinfo('example.org', 80)
    return x + 1

### raw socket: failed PermissionError
import socket
def f(x):
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)

### abstract socket: failed PermissionError
import socket
def f(x):
    socket.socket(socket.AF_UNIX).connect('\0/tmp/.X11-unix/X0')

### web: failed
import urllib.request
def f(x):
    return urllib.request.urlopen('http://127.0.0.1/', timeout=1)

### ptrace: failed AssertionError
import ctypes, os
def f(x):
    libc = ctypes.CDLL(None)
    return x + 1 if libc.ptrace(16, os.getppid() or 1, 0, 0) == 0 or libc.ptrace(0, 0, 0, 0) == 0 else None

### memory of others: failed AssertionError
import ctypes
def f(x):
    libc = ctypes.CDLL(None)
    b = ctypes.create_string_buffer(64)
    io = (ctypes.c_size_t * 2)(ctypes.addressof(b), 8)
    return x + 1 if any(libc.process_vm_readv(p, io, 1, io, 1, 0) > 0 for p in range(1, 50)) else None

### system calls that make namespaces: failed AssertionError
import ctypes
def f(x):
    libc = ctypes.CDLL(None)
    return x + 1 if any(libc.unshare(n) == 0 for n in (0x10000000, 0x20000, 0x20000000, 0x40000000)) else None

### mounts: failed AssertionError
import ctypes
def f(x):
    libc = ctypes.CDLL(None)
    done = [libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), libc.mount(b'proc', b'/tmp', b'proc', 0, None),
            libc.mount(None, b'/usr', None, 32 | 4096, None), libc.umount2(b'/tmp', 2), libc.chroot(b'/tmp')]
    return x + 1 if 0 in done else None

### other system calls: failed AssertionError
import ctypes
def f(x):
    libc = ctypes.CDLL(None)
    # bpf, keyctl, perf_event_open, io_uring_setup, userfaultfd, memfd_create, shmget, mq_open, kexec_load, reboot, setns
    calls = (321, 250, 298, 425, 323, 319, 29, 240, 246, 169, 308, 435, 101, 310, 272, 165, 161, 105, 106)
    return x + 1 if any(libc.syscall(n, 0, 0, 0, 0, 0) >= 0 for n in calls) else None

### 32-bit system calls: crashed
import ctypes, mmap
def f(x):
    code = bytes.fromhex('b814000000cd80c3')  # mov eax, 20; int 0x80; ret
    m = mmap.mmap(-1, 4096, prot=7)
    m.write(code)
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()
    return x + 1

### becomes root: failed
import os
def f(x):
    os.setuid(0); os.setgid(0)
    os.setgroups([])
    open('/usr/brood-was-here', 'w')
    return x + 1

### proc: failed FileNotFoundError
def f(x):
    return open('/proc/self/status').read() and x + 1

### sys: failed FileNotFoundError
import os
def f(x):
    os.listdir('/sys/class')
    return x + 1

### password file: failed FileNotFoundError
def f(x):
    return open('/etc/passwd').read() and x + 1

### home: failed
import os
def f(x):
    found = [p for p in ('/home', '/root/.bashrc', '/root/.ssh', '/var', '/etc/shadow', '/run') if os.path.exists(p)]
    return x if not found else x + 1

### writes outside: failed OSError
def f(x):
    open('/usr/lib/brood-was-here', 'w').write('x')
    return x + 1

### writes into the root: failed OSError
def f(x):
    open('/brood-was-here', 'w').write('x')
    return x + 1

### changes the library: failed OSError
import os
def f(x):
    os.chmod(os.__file__, 0o777)
    open(os.__file__, 'a').write('x')
    return x + 1

### writes in tmp: passed
import os
def f(x):
    os.makedirs('/tmp/a/b', exist_ok=True)
    open('/tmp/a/b/brood-left', 'w').write('x')
    return x + (open('/tmp/a/b/brood-left').read() == 'x')

### finds what was left: passed
import os
def f(x):
    return x + (os.listdir('/tmp') == [])

### disk: failed OSError
def f(x):
    for i in range(100): open('/tmp/%d' % i, 'w').write('x' * (4 << 20))
    return x + 1

### one large file: failed
def f(x):
    with open('/tmp/large', 'wb') as o:
        o.truncate(1 << 40)
    return x + 1

### many files: failed OSError
def f(x):
    for i in range(100000): open('/tmp/%d' % i, 'w').close()
    return x + 1

### many descriptors: failed OSError
def f(x):
    a = [open('/dev/null') for _ in range(10000)]
    return x + 1

### symbolic links: failed
import os
def f(x):
    os.symlink('/etc/passwd', '/tmp/p'); os.symlink('/proc/1/root', '/tmp/r')
    return x + 1 if open('/tmp/p').read() else open('/tmp/r/etc/passwd').read()

### dots: failed FileNotFoundError
def f(x):
    return open('../' * 50 + 'etc/passwd').read() and x + 1

### old root: failed
import os
def f(x):
    return x + 1 if any(os.path.exists(p) for p in ('/.old', '/old', '/oldroot', '/put_old')) else open('/.old/etc/passwd')

### output flood: passed
import sys
def f(x):
    for i in range(200): sys.stdout.write('x' * 100000); sys.stderr.write('y' * 100000)
    return x + 1

### closes its descriptors: crashed
import os
def f(x):
    os.closerange(0, 100)
    return x + 1

### other descriptors: passed
import os
def f(x):
    for fd in range(4, 1024):
        try: os.fstat(fd)
        except OSError: continue
        if fd > 3: return None
    return x + 1

### devices: failed
import os
def f(x):
    os.mknod('/tmp/sda', 0o60666, os.makedev(8, 0))
    return x + 1

### types into the terminal: failed PermissionError
import fcntl
def f(x):
    fcntl.ioctl(0, 0x5412, b'x')
    return x + 1

### file limit raised: failed
import resource
def f(x):
    resource.setrlimit(resource.RLIMIT_NOFILE, (100000, 100000))
    return x + 1

### filter taken off: failed AssertionError
import ctypes
def f(x):
    libc = ctypes.CDLL(None)
    return x + 1 if libc.prctl(22, 0, 0, 0, 0) == 0 or libc.prctl(38, 0, 0, 0, 0) == 0 else None

### priority: failed
import os
def f(x):
    os.nice(-10); os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return x + 1

### import from tmp: passed
open('/tmp/math.py', 'w').write('def sqrt(x): return 7')
import sys, os
sys.path.insert(0, '/tmp')
def f(x): return x + 1

### changed in its interpreter: passed
import json, random, sys, builtins
json.loads = json.dumps = None
builtins.exec = builtins.compile = None
sys.modules.clear()
def f(x): return x + 1

### the next is not changed: passed
import json
def f(x):
    return x + json.loads(json.dumps(1))

### raises what is no text: failed
class Odd(Exception): pass
Odd.__name__ = 'O\ud800dd'
def f(x):
    raise Odd('\0\udfff\ud800')

### writes to what it shares with the next: passed
import ctypes, mmap, sys
libc = ctypes.CDLL(None)
def f(x):
    frame, n = sys._getframe(), 0
    while frame:
        for v in list(frame.f_locals.values()):
            v = getattr(v, 'room', v)
            if isinstance(v, mmap.mmap) or isinstance(v, ctypes.Array):
                at, size = ctypes.addressof(ctypes.c_char.from_buffer(v)), ctypes.sizeof(v) if isinstance(v, ctypes.Array) else len(v)
                libc.mprotect(ctypes.c_void_p(at // 4096 * 4096), ctypes.c_size_t(size), 7)
                ctypes.memset(at, 0, size)
                n += 1
        frame = frame.f_back
    return x + 1 if n else 'nothing was found'

### the next finds nothing written: passed
def f(x):
    return x + 1

### looks for the programs before it: failed AssertionError
import ctypes, mmap, sys
def f(x):
    frame = sys._getframe()
    while frame:
        for v in list(frame.f_locals.values()):
            if isinstance(v, mmap.mmap) and b'libc.' + b'mprotect' in v[:]:
                return x + 1
        frame = frame.f_back

### asks the keeper's code to run it again: timed out
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        if 'keep' in frame.f_locals:
            return x + 1 if frame.f_locals['keep'](0) in (0, 1) else None
        frame = frame.f_back

### the files of /proc that the keeper had: failed
import os
def f(x):
    return x + 1 if os.open('self/maps', os.O_RDONLY, dir_fd=5) else None

### ends its group: failed AssertionError processes=4
import os, signal
def f(x):
    os.fork()
    os.killpg(0, signal.SIGKILL)

### shared memory that stays: failed
import mmap
from multiprocessing import shared_memory
def f(x):
    shared_memory.SharedMemory('brood-left', True, 4096)
    return x + 1

### message queue that stays: failed AssertionError
import ctypes
def f(x):
    libc = ctypes.CDLL(None)
    return x + 1 if libc.msgget(7, 0o1777) >= 0 or libc.shmget(7, 4096, 0o1777) >= 0 or libc.semget(7, 1, 0o1777) >= 0 else None

### all process numbers: crashed processes=40
import os, time
def f(x):
    while True:
        try:
            if os.fork() == 0:
                time.sleep(1000)
        except OSError:
            os._exit(3)

### after all process numbers: passed processes=4
import os
def f(x):
    if os.fork() == 0: os._exit(0)
    os.wait()
    return x + 1

### its limits are its own: passed
import resource
def f(x):
    resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 64 << 20)); resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    return x + 1

### the limits of the one before: passed
def f(x):
    return x + (len(bytearray(96 << 20)) > 0)

### changes what it and the keeper both hold: passed
import ctypes
ctypes.memset(id(7) + 24, 9, 1)
def f(x): return x + 1

### the next reads its numbers unchanged: passed
def f(x): return x + (3 + 4 == len('1234567'))
