# runner.py - what runs in a worker: the keeper, which forks a candidate for each program, and the judge, which holds the
# tests. verify.h draws the picture. Line 3 is the keeper's to brood, line 4 the judge's: 4 bytes of length, then JSON.
# Those first that programs use most: what they write to of them lies together then.
import builtins, typing, math, collections, _collections_abc, abc, functools, operator, itertools, keyword, re, enum, types, string
import random, heapq, bisect, copy, datetime, hashlib, statistics, decimal, fractions, cmath, unicodedata, io, queue, threading, textwrap
import dataclasses, inspect, ast, traceback, time, sys, os, gc, stat, _sitebuiltins
import ctypes, json, marshal, mmap, resource, select, signal, socket, struct

MESSAGE_MAX = 32 << 20
PROGRAM_MAX = 9 << 20
COMPILER_ROOM = 64 << 20  # memory that compiling may take
LENGTH, INT, ONE_FD = struct.Struct('<I'), struct.Struct('@i'), socket.CMSG_LEN(4)
OUTPUT_MAX, SHOWN_MAX = 16 << 20, 256 << 10
PAGE, HUGE, WORTH, PROC = 4096, 2 << 20, 64 << 12, 5  # PROC: a descriptor
BLOCKS_MAX, BIG_CHUNK, ARENA = 1 << 15, 100 << 10, 1 << 20
MAP_FILL = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100000  # MAP_FIXED_NOREPLACE
MARSHAL = 2  # its version without references
ITEMS_MAX = 1 << 20  # what is taken of an iterator that a candidate returned
libc = ctypes.CDLL(None, use_errno=True)
syscall = libc.syscall


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in 'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost'.split()]


if hasattr(libc, 'mallinfo'):
    libc.mallinfo.restype = Mallinfo
libc.mmap.restype = libc.sbrk.restype = ctypes.c_void_p
libc.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_size_t,), (ctypes.c_void_p,)
ctypes.pythonapi.PyObject_Malloc.restype = ctypes.c_void_p
libc.sbrk.argtypes, libc.munmap.argtypes = (ctypes.c_long,), (ctypes.c_void_p, ctypes.c_size_t)
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
SYS_CLONE = {'x86_64': 56, 'aarch64': 220}.get(os.uname().machine)
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
CLONE_NEWPID, MS_NOSUID, MS_NODEV, MNT_DETACH = 0x20000000, 2, 4, 2
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38

# Shared with inside/keeper.c: what there is between the two, what it can be asked, what it comes back with.
STATE = ('ID CPU_US MEMORY DISK N_PROCESSES KIND FD N_MESSAGE MESSAGE ROOM N_DIRTY LINE ENDS PASSED_OVER JUDGED RULESET FLAGS NAMESPACES '
         'FILTER FILTER_COMMAND FILTER_PROCESSES FIRST_CLOSED PID ENDED_BY STATUS USED_US USED_KIB RANGE RANGE_END PYTHON NAMES '
         'COMPILER COMPILER_PID COMPILER_LEFT COMPILER_US COMPILER_MEMORY FILTER_COMPILER CODE N_CODE COMPILED_US '
         'TMP_BYTES TMP _ _ _ _ _ _').split()
globals().update((name, i) for i, name in enumerate(STATE))
NEXT, RUN, BECOME, WATCH, CLEAN, IS_CLEAN, FUSE, SERVE = range(8)
KEEP_RENEW, KEEP_STEP, KEEP_GONE, KEEP_FAILED = range(4)

# Shared with inside/serve.h: what a candidate uses of Python.
API = ('PyUnicode_DecodeUTF8 PyMarshal_ReadObjectFromString PyMarshal_WriteObjectToString PyBytes_AsString PyBytes_Size '
       'PyObject_CallFunctionObjArgs PyObject_Call PyEval_EvalCode '
       'PyDict_GetItemString PyDict_Next PyList_Size PyList_GetItem PyTuple_Size PyTuple_GetItem PyLong_AsLongLongAndOverflow '
       'PyFloat_AsDouble PyOS_double_to_string PyUnicode_AsUTF8AndSize PyMem_Free Py_DecRef Py_IncRef PyErr_Fetch '
       'PyErr_NormalizeException PyException_SetTraceback PyErr_Clear PyObject_GetAttrString PyObject_Str '
       'PyErr_GivenExceptionMatches PyObject_RichCompareBool PyErr_CheckSignals PyEval_SaveThread PyEval_RestoreThread '
       '__errno_location').split()
API_OBJECTS = (None, True, False, str, int, float, list, tuple, dict, compile, '<program>', 'exec', type, types.CodeType,
               frozenset, SyntaxError)


# ---- messages

class Line:
    """A socket. `ahead`: it is read further than asked for, which saves calls; not where descriptors come with it."""

    def __init__(self, fd, ahead=False):
        self.fd, self.ahead, self.have = fd, ahead, b''

    def take(self, n):
        have = self.have
        if len(have) < n:
            parts, n_have = [have], len(have)
            while n_have < n:
                part = os.read(self.fd, 1 << 16 if self.ahead else min(n - n_have, 1 << 16))
                if not part:
                    raise EOFError
                parts.append(part)
                n_have += len(part)
            have = b''.join(parts)
        self.have = have[n:]
        return have[:n]


class LineWithFds(Line):
    """Whose messages come with a descriptor each: one read takes that, and never more than its message."""

    def __init__(self, fd):
        Line.__init__(self, fd)
        self.socket = socket.socket(fileno=fd)

    def take_fd(self):
        self.have, control, _, _ = self.socket.recvmsg(1 << 16, ONE_FD)
        if not self.have:
            raise EOFError
        return INT.unpack(control[0][2])[0] if control else -1


scan = json.JSONDecoder().scan_once


def receive(line):
    have = line.have
    if line.ahead and not have:
        have = line.have = os.read(line.fd, 1 << 16)
    n = LENGTH.unpack_from(have)[0] if len(have) >= 4 else -1
    if n == len(have) - 4:  # one message and no more: nearly always
        text, line.have = str(memoryview(have)[4:], 'utf-8', 'surrogatepass'), b''
    else:
        n, = LENGTH.unpack(line.take(4))
        if n > MESSAGE_MAX:
            raise EOFError
        text = str(line.take(n), 'utf-8', 'surrogatepass')
    try:
        value, end = scan(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else json.loads(text)  # which says what is wrong with it


def clean(text):
    """What brood reads as JSON: no NUL, no half of a pair."""
    if not text.isascii():
        text = text.encode('utf-8', 'replace').decode('utf-8')
    return text.replace('\0', '?')


def send_bytes(line, data):
    data = LENGTH.pack(len(data)) + data
    n = os.write(line.fd, data)
    while n < len(data):
        data = data[n:]
        n = os.write(line.fd, data)


# json.dumps, less its way there.
dump = json.encoder.c_make_encoder and json.encoder.c_make_encoder(
    None, json.JSONEncoder().default, json.encoder.encode_basestring_ascii, None, ': ', ', ', False, False, True)


def send(line, message):
    send_bytes(line, (''.join(dump(message, 0)) if dump else json.dumps(message)).encode('ascii'))


# ---- values as data: what JSON lacks is a list whose first item says what it is

PLAIN = frozenset((str, float, bool, type(None)))
SCALARS = PLAIN | {int}


class Unsupported(Exception):
    pass


def encode(x, strict=False):
    t = type(x)
    if t in PLAIN:
        return x
    if isinstance(x, int) and not isinstance(x, bool):
        return int(x) if -1 << 63 <= x < 1 << 63 else ['i', hex(x)]
    if isinstance(x, list):
        return ['l', *[encode(y, strict) for y in x]]
    if isinstance(x, tuple):
        return ['t', *[encode(y, strict) for y in x]]
    if isinstance(x, dict):
        return ['d', *[encode(z, strict) for y in x.items() for z in y]]
    if isinstance(x, str):
        return str.__str__(x)
    if isinstance(x, float):
        return float(x)
    if isinstance(x, frozenset):
        return ['f', *[encode(y, strict) for y in x]]
    if isinstance(x, (set, collections.abc.Set)):
        return ['s', *[encode(y, strict) for y in x]]
    if isinstance(x, (bytes, bytearray)):
        return ['b' if isinstance(x, bytes) else 'a', x.hex()]
    if isinstance(x, complex):
        return ['c', x.real, x.imag]
    if isinstance(x, range):
        return ['r', x.start, x.stop, x.step]
    if isinstance(x, (decimal.Decimal, fractions.Fraction)):
        return ['D' if isinstance(x, decimal.Decimal) else 'F', str(x)]
    if isinstance(x, collections.deque):
        return ['q', *[encode(y, strict) for y in x]]
    if strict:
        raise Unsupported('the tests pass a ' + t.__name__ + ', which cannot be given to a program as data')
    if isinstance(x, collections.abc.Iterator):
        return ['g', *[encode(y) for y in itertools.islice(x, ITEMS_MAX)]]
    if isinstance(x, (type({}.values()),)):
        return ['v', *[encode(y) for y in x]]
    return ['o', t.__name__]


class Opaque:
    """Something that came back and is no data: equal to nothing else."""
    __slots__ = ('name',)

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return '<' + self.name + '>'


def pairs(items):
    it = iter(items)
    return dict(zip(it, it))


MAKE = {'l': list, 't': tuple, 's': set, 'f': frozenset, 'q': collections.deque, 'd': pairs, 'g': lambda x: iter(list(x)),
        'v': lambda x: dict(enumerate(x)).values()}
MAKE_TEXT = {'b': bytes.fromhex, 'a': bytearray.fromhex, 'D': decimal.Decimal, 'F': fractions.Fraction, 'o': Opaque,
             'i': lambda x: int(x, 16)}


def decode(x):
    if type(x) is not list:
        if type(x) is dict:
            raise ValueError('malformed')
        return x
    kind = x[0]
    if kind in MAKE:
        items = x[1:]
        return MAKE[kind](items if SCALARS.issuperset(map(type, items)) else [decode(y) for y in items])
    if kind in MAKE_TEXT and type(x[1]) is str:
        return MAKE_TEXT[kind](x[1])
    if kind == 'c':
        return complex(float(x[1]), float(x[2]))
    if kind == 'r':
        return range(int(x[1]), int(x[2]), int(x[3]))
    raise ValueError('malformed')


# ---- the candidate: all that follows its exec may be the program's doing

def describe(e):
    names = [t.__name__ for t in type(e).__mro__]
    try:
        args = encode(list(e.args))
        json.dumps(args)
    except BaseException:
        args = ['l']
    try:
        text = str(e)[:2000]
    except BaseException:
        text = ''
    return {'raised': names, 'args': args, 'text': text, 'line': program_line(e, '<program>')}


def functions_of(line):
    """What inside/serve.c leaves to Python."""

    def answer(value):
        try:
            send(line, {'value': encode(value)})
        except BaseException as e:
            send(line, describe(e))

    def tell(e):
        send(line, describe(e))

    def lack(entry_point):
        send(line, describe(NameError("name '" + entry_point + "' is not defined")))

    def answer_text(function, text):
        call = json.loads(text)
        args, named = decode(call['args']), {k: decode(v) for k, v in call['named'].items()}
        try:
            send(line, {'value': encode(function(*args, **named))})
        except BaseException as e:
            send(line, describe(e))

    return answer, tell, lack, answer_text


def run_main(program):
    """A program that reads standard input and prints, as Python itself would run it; gives its exit status."""
    import atexit
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = open(0), open(1, 'w'), open(2, 'w')
    sys.argv, status = ['program.py'], 0
    main_module = sys.modules['__main__'] = types.ModuleType('__main__')
    try:
        exec(compile(program, 'program.py', 'exec'), main_module.__dict__)
    except SystemExit as e:
        if e.code is not None and type(e.code) is not int:
            print(e.code, file=sys.stderr)
        status = 0 if e.code is None else e.code & 255 if type(e.code) is int else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            status = status or 120
    return status


def run_command(command):
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(command[0], command, {'PATH': '/usr/bin:/bin', 'HOME': '/tmp', 'TMPDIR': '/tmp', 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'})


def read_and_print(keep, state, job, fd, errors):
    os.dup2(fd, 0)
    os.dup2(fd, 1)
    os.dup2(errors if job['step'] == 'run' else fd, 2)
    state[FIRST_CLOSED] = 3
    program, command = job['program'], job.get('command')
    if command:
        state[FILTER] = state[FILTER_COMMAND]
    if keep(BECOME):
        raise OSError(ctypes.get_errno(), 'become')
    job.clear()
    if command:
        run_command(command)
    return run_main(program)


def limit(what, amount):
    hard = resource.getrlimit(what)[1]
    amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(what, (amount, amount))


def limit_keeper(config):
    """What holds for every program is set once: it has it from the keeper."""
    for what, amount in ((resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_MEMLOCK, 0),
                         (resource.RLIMIT_MSGQUEUE, 0)):
        limit(what, amount)
    if config['namespaces']:  # tasks of this user namespace: the keeper, the judge, the compiler, the program, its children or threads
        limit(resource.RLIMIT_NPROC, 65)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError('no_new_privs')


def candidate_of_step(keep, state, job, fd, errors):
    status = 99
    try:
        status = read_and_print(keep, state, job, fd, errors)
    except BaseException as e:
        os.write(2, ('the sandbox: ' + repr(e)).encode())
    os._exit(status)


# ---- the keeper: one program at a time

def make_ruleset(config):
    """What a program may touch: reading where Python lies, writing in /tmp alone."""
    abi = syscall(LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return -1
    everything = (1 << (13 if abi < 2 else 14 if abi < 3 else 15 if abi < 5 else 16)) - 1
    attribute = struct.pack('<QQQ', everything, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = syscall(LANDLOCK_CREATE, attribute, size, 0)
    if ruleset < 0:
        return -1
    reading, of_files = 1 | 4 | 8, 1 | 2 | 4 | (everything & (1 << 14))
    rules = [(path, reading) for path in config['readable']]
    rules += [('/dev/null', of_files), ('/dev/zero', 4), ('/dev/urandom', 4)]
    if config['namespaces']:
        rules.append(('/tmp', everything))
    for path, access in rules:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        if not os.path.isdir(path):
            access &= of_files
        if syscall(LANDLOCK_ADD, ruleset, 1, struct.pack('<Qi', access, fd), 0):
            raise OSError(ctypes.get_errno(), 'landlock_add_rule')
        os.close(fd)
    return ruleset


def mount_tmp(n_bytes):
    options = ('size=%d,nr_inodes=1024,mode=0777' % n_bytes).encode()
    if libc.mount(b'tmpfs', b'/tmp', b'tmpfs', ctypes.c_ulong(MS_NOSUID | MS_NODEV), options):
        raise OSError(ctypes.get_errno(), 'mount /tmp')


class Tmp:
    """The small file system of the programs: replaced once one has made anything in it."""

    def __init__(self, config, keep, state):
        self.config, self.keep, self.state, self.is_mounted = config, keep, state, False
        self.renew(1 << 20) if config['namespaces'] else self.rule()

    def rule(self):
        if self.state[RULESET] >= 0:
            os.close(self.state[RULESET])
        self.state[RULESET] = make_ruleset(self.config)

    def renew(self, n_bytes):
        if self.is_mounted and libc.umount2(b'/tmp', MNT_DETACH):
            raise OSError(ctypes.get_errno(), 'umount /tmp')
        mount_tmp(n_bytes)
        self.state[TMP_BYTES], self.is_mounted = n_bytes, True
        if self.keep(CLEAN):
            raise OSError(ctypes.get_errno(), 'look at /tmp')
        self.rule()


class Files:
    """What a program in another language lies in: its source, or what was made of it; both in /tmp."""

    def __init__(self):
        self.key, self.made = None, None

    def put(self, job):
        if job['step'] == 'compile' or not job['compiled']:
            name, data = '/tmp/' + job['source'], job['program'].encode('utf-8', 'surrogatepass')
        elif self.key == job['key'] and self.made is not None:
            name, data = '/tmp/program', self.made
        else:
            raise OSError('no program was made')
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755)
        with open(fd, 'wb') as out:
            out.write(data)

    def take(self, job, n_bytes_max):
        self.key, self.made = job['key'], None
        try:
            fd = os.open('/tmp/program', os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        with open(fd, 'rb') as made:
            st = os.fstat(fd)
            if stat.S_ISREG(st.st_mode) and st.st_size <= n_bytes_max:
                self.made = made.read(st.st_size)
        return self.made is not None


AT = re.compile('File "program.py", line ([0-9]{1,6})')


def tail_of(errors):
    """The last line that the program wrote to standard error, and which of its own it names there."""
    size = os.fstat(errors).st_size
    lines = os.pread(errors, 4000, max(0, size - 4000)).decode('utf-8', 'replace').split('\n')
    at = [int(number) for number in AT.findall('\n'.join(lines))]
    return next((clean(plain(line[:500], 500)) for line in reversed(lines) if line.strip()), ''), at[-1] if at else 0


def prepare_filter(config, name):
    """The address of the kernel's struct sock_fprog; what it needs stays."""
    if name not in config:
        return 0
    program = bytes.fromhex(config[name])
    buffer = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack('@HP', len(program) // 8, ctypes.addressof(buffer)))
    config[name] = head, buffer
    return ctypes.addressof(head)


def map_memory(size):
    """Private, and it stays."""
    at = libc.mmap(0, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if at == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), 'mmap')
    return at


def prepare_keep(code, state):
    """The machine code of inside/keeper.c as a function of what it is to do."""
    size = -len(code) // PAGE * -PAGE
    at = map_memory(size)
    ctypes.memmove(at, code, len(code))
    if libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), 'mprotect')
    call = ctypes.cast(syscall, ctypes.c_void_p)
    function = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long)(at)
    return functools.partial(function, call, ctypes.addressof(state))


def prepare_serve(state, line, at):
    """Writes what inside/serve.h wants there; gives what has to stay."""
    if ctypes.c_long.from_address(id(0.5) + 8).value != id(float):
        raise TypeError('objects of this Python begin otherwise than its usual build')
    functions = functions_of(line)
    names = {'__builtins__': builtins.__dict__}
    addresses = [ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value for name in API]
    addresses += [id(x) for x in (*API_OBJECTS, *functions)]
    (ctypes.c_long * len(addresses)).from_address(at)[:] = addresses
    state[PYTHON], state[NAMES] = at, id(names)
    return functions, names


PROGRAM = b"""f\0from typing import List
import math, collections
def f(x: List[int]) -> int:
    for i, y in enumerate([1.5, 2]):
        if x == 'raise': raise ValueError(x)
        if y != i and len(str(i)) == 1: return [x for _ in range(2)][0]
"""


def warm(keep, state, line):
    """Runs a program of ours as any other: what Python keeps of that, it keeps once for all that are forked."""
    here, other = socket.socketpair()
    names, own, line.fd = {'__builtins__': builtins.__dict__}, state[NAMES], here.fileno()
    for x in (1, 'a', [1.5, None], {'a': (1, True)}, 'raise'):
        data = marshal.dumps(((x,), None), MARSHAL)
        other.sendall(LENGTH.pack(len(data)) + data)
    send(Line(other.fileno()), {'args': encode([{1}]), 'named': {}})
    other.shutdown(socket.SHUT_WR)
    ctypes.memmove(state[MESSAGE], PROGRAM, len(PROGRAM))
    state[N_MESSAGE], state[FD], state[NAMES] = len(PROGRAM), here.fileno(), id(names)
    keep(SERVE)
    state[NAMES], line.fd = own, 3
    other.close()
    here.close()


def run_step(line, tmp, files, keep, state):
    job, fd, errors = json.loads(line.take(state[N_MESSAGE])), state[FD], os.memfd_create('errors')
    if state[TMP_BYTES] != state[DISK] or not keep(IS_CLEAN):
        tmp.renew(state[DISK])
    if 'command' in job:
        files.put(job)
    # No hook runs in the child: there is one thread, no lock is held, and random numbers are to repeat.
    state[PID] = ctypes.pythonapi.syscall(SYS_CLONE, state[FLAGS], 0, 0, 0, 0)
    if state[PID] == 0:
        candidate_of_step(keep, state, job, fd, errors)
    os.close(fd)
    if state[PID] < 0:
        raise OSError(ctypes.get_errno(), 'clone')
    if keep(WATCH):
        raise EOFError
    report = {'ended': state[ID], 'by': state[ENDED_BY], 'status': state[STATUS], 'cpu_us': state[USED_US],
              'memory': state[USED_KIB] * 1024}
    report['said'], report['line'] = tail_of(errors)
    os.close(errors)
    if job['step'] == 'compile':
        report['made'] = files.take(job, state[DISK])
    send(line, report)


# ---- memory that forks fast (inside/keeper.c says why)

def allocate(size):
    return ctypes.pythonapi.PyObject_Malloc(ctypes.c_size_t(size))


def new_arena(old):
    """Has Python's allocator begin one that lies in one huge page, as far as a program comes in it; gives its address."""
    begin = 0
    for _ in range(BLOCKS_MAX):
        at = allocate(512)
        i = bisect.bisect(old, (at, 1 << 64))
        if (i == len(old) or at < old[i][1]) and not begin <= at < begin + ARENA:
            begin = at
            if at % HUGE < HUGE - ARENA // 2:
                break
    return begin


def use_up_blocks(arena):
    """What Python's allocator has free, of every size, until it begins a pool in that arena: then a program's objects lie in that,
    not in many pages between others."""
    for size in range(512, 0, -16):
        for _ in range(BLOCKS_MAX):
            at = allocate(size)
            if arena <= at < arena + ARENA and at % PAGE < 64:
                break


def use_up_again(arena):
    """What has become free since: a program's objects are to come from that arena."""
    for size in range(512, 0, -16):
        for _ in range(BLOCKS_MAX):
            if arena <= allocate(size) < arena + ARENA:
                break


def grow_heap():
    """The C library's, so that its top lies in the huge page where it ends; gives its end."""
    end = (libc.sbrk(0) + BIG_CHUNK) // HUGE
    for _ in range(2 * HUGE // BIG_CHUNK):
        at = libc.malloc(BIG_CHUNK)
        if at // HUGE > end:
            libc.free(at)
            break
    return libc.sbrk(0)


def use_up_chunks(end):
    """The same of the C library's: until they come from its top."""
    size = BIG_CHUNK
    while size > 512:
        for _ in range(BLOCKS_MAX):
            at = libc.malloc(size)
            if at >= end - libc.mallinfo().keepcost:
                libc.free(at)
                break
        size -= max(16, size // 8)


def close_proc():
    try:
        os.close(PROC)
    except OSError:  # there was none
        pass


def look_at(name):
    return open(os.open('self/' + name, os.O_RDONLY, dir_fd=PROC))


def has_huge_pages():
    with mmap.mmap(-1, 2 * HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as trial, look_at('smaps') as maps:
        trial.madvise(mmap.MADV_HUGEPAGE)
        trial[:] = bytes(2 * HUGE)
        return any(entry.startswith('AnonHugePages:') and entry.split()[1] != '0' for entry in maps)


def mappings(but):
    """Beginning, end, and whether it is private memory that may become one piece. `but`: an address in what may not."""
    with look_at('maps') as maps:
        for entry in maps:
            where, mode, _, _, _, *name = entry.split()
            start, end = (int(x, 16) for x in where.split('-'))
            private = mode[0] == 'r' and (mode[3] == 'p' or mode[1] == '-')
            yield start, end, private and not start <= but < end and (not name or name[0][0] != '[' or name == ['[heap]'])


def fill_gaps(but):
    """Where nothing but private memory lies in what could be a huge page, the gaps in it are filled: else it is small pages, and
    a fork copies the entry of each."""
    libc.sbrk(-libc.sbrk(0) % HUGE)  # the heap goes on behind
    blocks = {}
    for start, end, ours in mappings(but):
        for block in range(start // HUGE, (end - 1) // HUGE + 1):
            parts = blocks.setdefault(block * HUGE, [])
            parts.append((max(start, block * HUGE), min(end, block * HUGE + HUGE), ours))
    for block, parts in blocks.items():
        if all(ours for _, _, ours in parts) and sum(end - start for start, end, _ in parts) >= WORTH:
            for start, end in zip([block] + [part[1] for part in parts], [part[0] for part in parts] + [block + HUGE]):
                if start < end:
                    libc.mmap(start, end - start, mmap.PROT_READ | mmap.PROT_WRITE, MAP_FILL, -1, 0)


def runs_of(but):
    """What lies together and is to be one piece."""
    runs = []
    for start, end, ours in mappings(but):
        if ours and runs and runs[-1][1] == start:
            runs[-1][1:] = end, runs[-1][2] + 1
        elif ours:
            runs.append([start, end, 1])
    return [(start, end) for start, end, n in runs if n > 1 or end - start >= WORTH]


def settle(keep, state, warm_up):
    """The last before programs come. Without /proc, or huge pages, it works as well, slower."""
    gc.collect()  # free lists, too
    heap_end = grow_heap() if hasattr(libc, 'mallinfo') else 0
    try:
        arena = new_arena([(end, start) for start, end, _ in mappings(0)])
        fuses = has_huge_pages()
        if fuses:
            fill_gaps(state[MESSAGE])
        runs = runs_of(state[MESSAGE]) if fuses else []
        state[COMPILER_MEMORY] = sum(end - start for start, end, _ in mappings(0)) + COMPILER_ROOM
    except OSError:
        return 0
    gc.collect()
    use_up_blocks(arena)
    if heap_end:
        use_up_chunks(heap_end)
    warm_up()
    for state[RANGE], state[RANGE_END] in runs:
        keep(FUSE)
    return arena


def keeper(line, ends, judged, config):
    # What the keeper writes to while a program runs lies apart from all that is to stay in huge pages.
    own = map_memory(PAGE + PROGRAM_MAX + 2 * HUGE)
    libc.munmap(own + PAGE + PROGRAM_MAX, 2 * HUGE)
    state = (ctypes.c_long * len(STATE)).from_address(own)
    keep = prepare_keep(bytes.fromhex(config['keeper']), state)
    state[LINE], state[ENDS], state[JUDGED] = line.fd, ends, judged
    state[PASSED_OVER], state[RULESET], state[FIRST_CLOSED] = -1, -1, 4
    state[FLAGS], state[NAMESPACES] = signal.SIGCHLD | (CLONE_NEWPID if config['namespaces'] else 0), config['namespaces']
    state[MESSAGE], state[ROOM] = own + PAGE, PROGRAM_MAX
    tmp = Tmp(config, keep, state)
    of_candidates = Line(3)
    kept = prepare_serve(state, of_candidates, own + PAGE // 2)
    for _ in range(20):  # what Python specialises after some runs, it has then
        warm(keep, state, of_candidates)
    random.seed(0)
    files = Files()
    limit_keeper(config)
    filter_keeper, state[FILTER], state[FILTER_COMMAND], state[FILTER_PROCESSES], state[FILTER_COMPILER] = (
        prepare_filter(config, name) for name in ('filter_keeper', 'filter', 'filter_command', 'filter_processes', 'filter_compiler'))
    arena = settle(keep, state, lambda: [warm(keep, state, of_candidates) for _ in range(3)])
    libc.madvise(state[MESSAGE], PROGRAM_MAX, mmap.MADV_DONTNEED)
    close_proc()
    if libc.prctl(PR_SET_SECCOMP, 2, ctypes.c_void_p(filter_keeper), 0, 0):
        raise OSError(ctypes.get_errno(), 'seccomp')
    gc.freeze()
    if arena:
        gc.collect()
        use_up_again(arena)
        names = {'__builtins__': builtins.__dict__}
        state[NAMES] = id(names)
    send(line, {'ready': True, 'landlock': state[RULESET] >= 0})
    what = NEXT
    while True:
        came = keep(what)
        what = NEXT
        if came == KEEP_RENEW:
            tmp.renew(state[DISK])
            what = RUN
        elif came == KEEP_STEP:
            run_step(line, tmp, files, keep, state)
        elif came == KEEP_GONE:
            raise EOFError
        else:
            raise OSError(ctypes.get_errno(), 'clone')


# ---- the judge: holds the tests, sees nothing of a program but data

class Gone(BaseException):
    pass


def is_plain(x):
    """Whether marshal gives it as it is, in the same order: it takes more than that for bytes, and sorts sets."""
    t = type(x)
    if t in SCALARS:
        return True
    if t is dict:
        return all(map(is_plain, x)) and all(map(is_plain, x.values()))
    return (t is list or t is tuple) and (SCALARS.issuperset(map(type, x)) or all(map(is_plain, x)))


def pack_call(args, named):
    if is_plain(args) and (not named or is_plain(named)):
        try:
            return marshal.dumps((args, named or None), MARSHAL)
        except ValueError:  # too deep for it
            pass
    return json.dumps({'args': encode(list(args), True), 'named': {k: encode(v, True) for k, v in named.items()}}).encode('ascii')


class Candidate:
    """Stands for the program's function in the tests."""

    def __init__(self, fd, name):
        self.line, self.n_calls, self.gone, self.unsupported = Line(fd, True), 0, None, None
        self.last, self.came, self.thrown, self.at = None, [], None, 0  # the last call, what it gave or raised, and where
        self.loaded, self.not_loaded = False, None  # the exception of a program that cannot be loaded
        self.__name__ = self.__qualname__ = name

    def hear(self):
        try:
            reply = receive(self.line)
            if type(reply) is not dict:
                raise ValueError('malformed')
        except (EOFError, OSError):
            self.gone = 'ended before the tests had'
            raise Gone
        except (ValueError, RecursionError, MemoryError):
            self.gone = 'sent what is no value'
            raise Gone
        if 'raised' in reply:
            self.thrown = self.raised(reply)
            self.at = reply['line'] if type(reply.get('line')) is int else 0
            raise self.thrown
        return reply

    def load(self):
        """It says so with its first answer. An exception before that is no test's to catch."""
        self.loaded = True
        try:
            self.hear()
        except Gone:
            raise
        except BaseException as e:
            self.gone, self.not_loaded, self.n_calls, self.last = 'was not loaded', e, 0, None
            raise Gone

    def load_uncalled(self):
        if not self.loaded:
            with socket.socket(fileno=os.dup(self.line.fd)) as line:
                line.shutdown(socket.SHUT_WR)  # there is nothing to wait for
            self.load()

    def raised(self, reply):
        try:
            args = decode(reply['args'])
            for name in reply['raised']:
                kind = getattr(builtins, name, None)
                if isinstance(kind, type) and issubclass(kind, BaseException):
                    e = kind(*args)
                    break
            e.brood_name, e.brood_text = str(reply['raised'][0]), str(reply['text'])
            return e
        except BaseException:
            e = Exception(str(reply.get('text')))
            names = reply['raised']
            e.brood_name = str(names[0]) if type(names) is list and names else 'Exception'
            return e

    def __call__(self, *args, **named):
        if self.gone:
            raise Gone
        try:
            call = pack_call(args, named)
        except Unsupported as e:
            self.load_uncalled()
            self.unsupported = str(e)
            raise Gone
        self.n_calls += 1
        self.last, self.came = (args, named), []
        try:
            send_bytes(self.line, call)
        except OSError:
            if not self.loaded:  # it may have said why
                self.load()
            self.gone = 'ended before the tests had'
            raise Gone
        if not self.loaded:
            self.load()
        reply = self.hear()
        try:
            value = decode(reply.get('value'))
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MemoryError):
            self.gone = 'sent what is no value'
            raise Gone
        self.came = [value]
        return value


def same_word(a, b):
    """CodeContests' rule: the same but for case; the same whole number; numbers within 1e-5."""
    if a == b:
        return True
    if WHOLE.fullmatch(a) and WHOLE.fullmatch(b):
        return int(a) == int(b)
    return bool(REAL.fullmatch(a) and REAL.fullmatch(b)) and abs(float(a) - float(b)) < 1e-5


WHOLE, REAL = re.compile('[-+]?[0-9]{1,4000}'), re.compile('[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)(e[-+]?[0-9]+)?')
SPACES = re.compile('[ \n\t\r\v]+')


def words_of(text):
    return [word for word in SPACES.split(text.lower()) if word]


def compare(printed, expected):
    """What differs, or None."""
    a, b = words_of(printed), words_of(expected)
    for i, (x, y) in enumerate(zip(a, b)):
        if not same_word(x, y):
            return 'word %d is %.60s, expected %.60s' % (i + 1, x, y)
    if len(a) != len(b):
        return 'printed %d words, expected %d' % (len(a), len(b))
    return None


def talk(fd, text):
    """Gives a program its input and gives back what it printed; None: too much."""
    line, data, parts, n = socket.socket(fileno=fd), memoryview(text.encode('utf-8', 'surrogatepass')), [], 0
    line.setblocking(False)
    poll = select.poll()
    poll.register(line, select.POLLIN | select.POLLOUT)
    with line:
        while True:
            (_, event), = poll.poll()
            if event & select.POLLOUT:
                try:
                    data = data[line.send(data[:1 << 16]):] if data else data
                except BlockingIOError:
                    pass
                except OSError:  # it reads no more
                    data = data[:0]
                if not data:
                    poll.modify(line, select.POLLIN)
                    try:
                        line.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass
            if event & ~select.POLLOUT:
                try:
                    part = line.recv(1 << 16)
                except BlockingIOError:
                    continue
                except OSError:
                    part = b''
                if not part:
                    return b''.join(parts).decode('utf-8', 'replace')
                parts.append(part)
                n += len(part)
                if n > OUTPUT_MAX:
                    return None


def judge_output(job, fd):
    printed = talk(fd, job['input'])
    if printed is None:
        return {'verdict': 'flood', 'text': 'printed more than 16 MiB', 'stop': True}
    if job['step'] == 'show':
        return {'verdict': 'said', 'text': printed[-SHOWN_MAX:]}
    if job['step'] == 'compile':
        lines = [line for line in printed.split('\n') if line.strip()]
        text = next((line for line in lines if 'error' in line), lines[0] if lines else '')
        return {'verdict': 'said', 'text': text.strip()[:500]}
    differs = compare(printed, job['output'])
    verdict = {'verdict': 'failed', 'text': differs} if differs else {'verdict': 'passed', 'text': ''}
    if job.get('tell'):
        verdict['detail'] = '\n'.join(('Input: ' + quoted(job['input']), 'Printed: ' + quoted(printed),
                                       'Expected: ' + quoted(job['output'])))
    return verdict


def teller_of(job, compiled):
    """Of tests that may be shown; None: they may not, or are none that can be."""
    if not job.get('tell'):
        return None
    key = 'tell\0' + job['tests']
    if key not in compiled:
        try:
            compiled[key] = Teller(job['tests'])
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            compiled[key] = None
    return compiled[key]


def told(job, candidate, teller, e, verdict):
    """The verdict with what a revision may read about it."""
    if not job.get('tell'):
        return verdict
    try:
        verdict['text'], verdict['exception'] = plain(verdict['text'], 300), plain(verdict.get('exception', ''), 80)
        verdict['line'] = candidate.at if e is candidate.thrown else 0
        verdict['detail'] = teller.tell(e, candidate) if teller else ''
    except BaseException:  # values of a program's own making may be hard to show
        verdict['detail'] = ''
    return verdict


def at_fault(e):
    hint = ' (only the standard library is there)' if isinstance(e, ImportError) else ''
    return {'verdict': 'refused', 'text': 'the tests: ' + type(e).__name__ + ': ' + str(e)[:500] + hint}


def run_tests(job, candidate, compiled):
    names, teller, ended = {}, teller_of(job, compiled), None
    try:
        for part in ('setup', 'tests'):
            source = job[part]
            if source not in compiled:
                try:
                    compiled[source] = compile(source, '<' + part + '>', 'exec')
                except SyntaxError:  # a prompt may end where the body of its function begins
                    compiled[source] = compile(source + '\n    pass\n', '<' + part + '>', 'exec')
        exec(compiled[job['setup']], names)
    except BaseException as e:
        return at_fault(e)
    names[job['entry_point']] = candidate
    names['remembered'] = compiled.setdefault(job['setup'] + '\0' + job['tests'], {})  # by tests, from program to program
    try:
        if teller:
            teller.sides, names['brood_seen'] = {}, teller.see
        exec(teller.code if teller else compiled[job['tests']], names)
        if 'check' in names and names['check'] is not candidate:
            names['check'](candidate)
    except BaseException as e:
        ended = e
    try:
        candidate.load_uncalled()
    except Gone:
        pass
    failed = candidate.not_loaded or (not candidate.gone and not candidate.unsupported and ended)
    if failed:
        of_tests = failed is ended and failed is not candidate.thrown  # no program had a hand in it
        if of_tests and (isinstance(failed, ImportError) or not candidate.n_calls and not isinstance(failed, AssertionError)):
            return at_fault(failed)
        return told(job, candidate, teller, failed,
                    {'verdict': 'failed', 'exception': getattr(failed, 'brood_name', type(failed).__name__)[:200],
                     'text': getattr(failed, 'brood_text', str(failed))[:2000]})
    if candidate.unsupported:
        return {'verdict': 'refused', 'text': candidate.unsupported}
    if candidate.gone:
        return told(job, candidate, teller, ended, {'verdict': 'gone', 'text': candidate.gone})
    if candidate.n_calls == 0:
        return {'verdict': 'refused', 'text': 'the tests never called ' + job['entry_point']}
    return {'verdict': 'passed', 'text': ''}


def seed_again():
    """random.seed(0), less its way there."""
    random_seed(random._inst, 0)
    random._inst.gauss_next = None


random_seed = random.Random.__mro__[1].seed


def judge(line, done):
    close_proc()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    compiled = {}
    gc.freeze()
    while True:
        fd = line.take_fd()
        job = receive(line)
        if len(compiled) > 256:
            compiled.clear()
        if 'step' in job:
            verdict = judge_output(job, fd)
            if verdict.pop('stop', False):
                os.write(done, job['id'].to_bytes(8, 'little'))
            verdict.update(judged=job['id'], calls=1, text=clean(verdict['text']), detail=clean(verdict.get('detail', '')))
            send(line, verdict)
            continue
        seed_again()
        candidate = Candidate(fd, job['entry_point'])
        verdict = run_tests(job, candidate, compiled)
        os.close(fd)
        os.write(done, job['id'].to_bytes(8, 'little'))  # the keeper ends what is left of the program
        verdict.update(judged=job['id'], calls=candidate.n_calls, text=clean(verdict['text']),
                       detail=clean(verdict.get('detail', '')), exception=clean(verdict.get('exception', '')))
        send(line, verdict)


def main():
    sys.path[:] = [path for path in sys.path if path]
    _quit = _sitebuiltins.Quitter('quit', 'Ctrl-D')
    builtins.quit, builtins.exit = _quit, _sitebuiltins.Quitter('exit', 'Ctrl-D')
    keeper_line, judge_line = LineWithFds(3), LineWithFds(4)
    ends = keeper_line.take_fd()  # it comes with the first message
    config = receive(keeper_line)
    if not SYS_CLONE:
        send(keeper_line, {'error': 'no system call numbers for ' + os.uname().machine})
        return
    sys.stdin, sys.stdout, sys.stderr = open(0, closefd=False), open(1, 'w', closefd=False), open(2, 'w', closefd=False)
    judged, done = os.pipe()
    os.set_blocking(judged, False)
    try:
        if os.fork() == 0:
            keeper_line.socket.close()
            os.close(ends)
            os.close(judged)
            judge(judge_line, done)
        else:
            judge_line.socket.close()
            os.close(done)
            keeper(keeper_line, ends, judged, config)
    except (EOFError, ConnectionError):
        pass
    except Exception as e:
        send(keeper_line, {'error': 'line %d: %r' % (e.__traceback__.tb_next.tb_lineno, e)})
    os._exit(0)


main()
