# human_eval_way.py N - checks N programs as openai/human-eval does (execution.py and evaluation.py, read and written anew): for each
# a multiprocessing.Manager and a process that is forked, guarded, given an alarm and a temporary folder; four threads, as there.
# Standard input: JSON lines {"program", "tests", "entry_point", "right"}. Prints seconds, CPU seconds, wrong verdicts.
import contextlib, faulthandler, io, json, multiprocessing, os, platform, shutil, signal, subprocess, sys, tempfile
import resource, time
from concurrent.futures import ThreadPoolExecutor, as_completed


class TimedOut(Exception):
    pass


@contextlib.contextmanager
def time_limit(seconds):
    def over(number, frame):
        raise TimedOut
    signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.signal(signal.SIGALRM, over)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class redirect_stdin(contextlib._RedirectStream):
    _stream = 'stdin'


@contextlib.contextmanager
def swallowed():
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream), redirect_stdin(stream):
        yield


@contextlib.contextmanager
def own_folder():
    with tempfile.TemporaryDirectory() as name:
        before = os.getcwd()
        os.chdir(name)
        try:
            yield
        finally:
            os.chdir(before)


def guard():
    faulthandler.disable()
    os.environ['OMP_NUM_THREADS'] = '1'
    import builtins
    builtins.exit = builtins.quit = None
    for name in ('kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate replace '
                 'unlink fchmod fchown chmod chown chroot lchown getcwd chdir').split():
        setattr(os, name, None)
    shutil.rmtree = shutil.move = shutil.chown = None
    subprocess.Popen = None
    for name in 'ipdb joblib resource psutil tkinter'.split():
        sys.modules[name] = None


def execute(problem, timeout, result):
    with own_folder():
        rmtree, rmdir, chdir, unlink = shutil.rmtree, os.rmdir, os.chdir, os.unlink
        guard()
        program = problem['program'] + '\n' + problem['tests'] + '\n' + 'check(' + problem['entry_point'] + ')'
        try:
            with swallowed():
                with time_limit(timeout):
                    exec(program, {})
            result.append('passed')
        except TimedOut:
            result.append('timed out')
        except BaseException as e:
            result.append(f'failed: {e}')
        shutil.rmtree, os.rmdir, os.chdir, os.unlink = rmtree, rmdir, chdir, unlink


def check(problem, timeout=3.0):
    manager = multiprocessing.Manager()
    result = manager.list()
    p = multiprocessing.Process(target=execute, args=(problem, timeout, result))
    p.start()
    p.join(timeout=timeout + 1)
    if p.is_alive():
        p.kill()
    if not result:
        result.append('timed out')
    return (result[0] == 'passed') == problem['right']


def main():
    multiprocessing.set_start_method('fork')
    problems = [json.loads(line) for line in sys.stdin]
    n, n_wrong, started = int(sys.argv[1]), 0, time.time()
    with ThreadPoolExecutor(max_workers=4) as threads:
        for future in as_completed([threads.submit(check, problems[i % len(problems)]) for i in range(n)]):
            n_wrong += not future.result()
    seconds = time.time() - started
    cpu = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(seconds, cpu, n_wrong)


if __name__ == '__main__':
    main()
