import json

import pytest

from wordseq.system.errors import UserError
from wordseq.training.cluster import read_cluster

TWO = {"worker": ["a:1", "b:65535"]}


def config(cluster=TWO, job="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}, "environment": "cloud"})


@pytest.mark.parametrize("text", [None, "", " ", config({"worker": ["a:1"]}), config({"chief": ["a:1"]}, "chief")])
def test_one_process_is_no_cluster(text):
    assert read_cluster(text) is None


def test_the_first_worker_is_the_chief_where_none_is_named():
    found = read_cluster(config(index=1))
    assert (found.tasks, found.rank) == ((("worker", 0), ("worker", 1)), 1)
    assert [found.name(rank) for rank in (0, 1)] == ["worker 0 (a:1)", "worker 1 (b:65535)"]
    assert found.others == ["worker 0 (a:1)"]


@pytest.mark.parametrize("jobs", [["chief", "worker"], ["worker", "chief"]])
def test_the_chief_is_first_in_any_order(jobs):
    addresses = {"chief": ["c:3"], **TWO}
    found = read_cluster(config({job: addresses[job] for job in jobs}))
    assert (found.addresses, found.rank) == (("c:3", "a:1", "b:65535"), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not JSON: .*line 1"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"task": {"type": "worker", "index": 0}}', 'has no "cluster" .* got None'),
        (config({}), r'has no "cluster" .* got \{\}'),
        (config({"worker": []}), r"worker .* list of addresses .* got \[\]"),
        (config({"worker": "a:1"}), "worker .* list of addresses .* got 'a:1'"),
        *(
            (config({"worker": [bad, "b:2"]}), "worker .* list of addresses")
            for bad in ("a", "a:", ":1", "a:0", "a:65536", "a:x", 1)
        ),
        (config({"worker": ["a:1"], "ps": ["b:2"]}), "names the job 'ps'"),
        (config({"worker": ["a:1", "a:1"]}), "names 'a:1' twice"),
        (config({"worker": ["a:1"], "chief": ["a:1"]}), "names 'a:1' twice"),
        (config({"worker": ["a:1"], "chief": ["b:1", "c:1"]}), "names 2 chiefs"),
        (json.dumps({"cluster": TWO}), 'has no "task" .* got None'),
        (config(job="chief"), "type in \"task\" must be 'worker', .* got 'chief'"),
        (config(job=["worker"]), r"type in \"task\" must be 'worker', .* got \['worker'\]"),
        *((config(index=bad), 'index in "task" must be .* 0 to 1 for') for bad in (2, -1, "0", None, True, 0.0)),
    ],
)
def test_errors_name_the_fault(text, expected):
    with pytest.raises(UserError, match=f"^environment variable TF_CONFIG {expected}"):
        read_cluster(text)
