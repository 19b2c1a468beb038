import signal
import threading

from wordseq.system.signals import handled


def test_a_signal_is_handled_within_and_its_earlier_handler_is_restored():
    heard = []
    before = signal.getsignal(signal.SIGUSR1)
    with handled(lambda number, _: heard.append(number), signal.SIGUSR1, signal.SIGUSR2):
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
    assert heard == [signal.SIGUSR1, signal.SIGUSR2]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_signal_that_is_ignored_stays_ignored():
    """As `nohup` and the background jobs of a script have it."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with handled(lambda *_: None, signal.SIGUSR1):
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_in_another_thread_nothing_changes():
    found = []

    def look():
        with handled(signal.SIG_IGN, signal.SIGUSR1):
            found.append(signal.getsignal(signal.SIGUSR1))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGUSR1)]
