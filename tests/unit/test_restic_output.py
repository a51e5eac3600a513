"""restic's output, as lines that were seen."""

from __future__ import annotations

import json

import pytest

from holdfast.process import Completed
from holdfast.progress import Progress
from holdfast.restic_errors import ResticError
from holdfast.restic_output import BackupHearing, RestoreHearing, exit_message, explain_backend_error, last_document
from holdfast.restic_records import BackupSummary, Change, Restored

STATUS = (
    '{"message_type":"status","seconds_elapsed":1,"seconds_remaining":9,"percent_done":0.25,"total_files":4,"files_done":1,'
    '"total_bytes":4096,"bytes_done":1024,"current_files":["/srv/a"]}'
)
SUMMARY = (
    '{"message_type":"summary","files_new":2,"files_changed":1,"files_unmodified":3,"dirs_new":2,"dirs_changed":0,"dirs_unmodified":0,'
    '"data_blobs":2,"tree_blobs":3,"data_added":1403,"data_added_packed":1120,"total_files_processed":6,"total_bytes_processed":30,'
    '"total_duration":0.66904414,"backup_start":"2026-11-23T07:03:35.531832846Z","backup_end":"2026-11-23T07:03:36.200876986Z",'
    '"snapshot_id":"3d9f2175"}'
)
UNREADABLE = '{"message_type":"error","error":{"message":"open /srv/secret: permission denied"},"during":"archival","item":"/srv/secret"}'
READ_ERROR = '{"message_type":"error","error":{"message":"read failed: input/output error"},"during":"archival","item":"/srv/disk"}'
RETRYING = "Save(<data/4017a0b403>) returned error, retrying after 1.08s: dial tcp 127.0.0.1:9000: connect: connection refused"


def said(*lines: str, status: int = 1) -> Completed:
    """A restic that ended with some lines on its standard error."""
    return Completed(status, "", "\n".join(lines) + "\n")


def test_the_message_of_the_exit_error_is_what_restic_said() -> None:
    error = json.dumps(
        {"message_type": "exit_error", "code": 10, "message": "Fatal: repository does not exist: unable to open config file"}
    )
    assert exit_message(said("Fatal: earlier", error, "later noise")) == "repository does not exist: unable to open config file"


def test_a_message_of_several_lines_becomes_one() -> None:
    error = json.dumps({"message_type": "exit_error", "code": 11, "message": "Fatal: unable to create lock\nlock was created at 07:03"})
    assert exit_message(said(error, status=11)) == "unable to create lock; lock was created at 07:03"


@pytest.mark.parametrize("line", ["{", "{}", "[]", '{"message_type":"error","message":"x"}', "plain"])
def test_without_an_exit_error_the_last_line_counts(line: str) -> None:
    assert exit_message(said("Fatal: first", line)) == line
    assert exit_message(said("", "Fatal: unable to open", "")) == "unable to open"
    assert exit_message(Completed(7, "", "")) == "exit status 7"


@pytest.mark.parametrize(
    "error",
    [
        "Stat: The AWS Access Key Id you provided does not exist in our records.",
        "Stat: The Access Key Id you provided does not exist in our records.",
        "Stat: Access Denied.",
        "AccessDenied: forbidden",
        "The request signature we calculated does not match the signature you provided.",
        "server response unexpected: 401 Unauthorized (401)",
        "unexpected HTTP response (403): 403 Forbidden",
    ],
)
def test_refused_credentials_are_told_from_an_outage(error: str) -> None:
    assert explain_backend_error("s3:https://host/b", error) == (
        f"s3:https://host/b refuses the credentials ({error}). Check the repository's 'environment'"
    )


@pytest.mark.parametrize(
    "error",
    [
        "dial tcp 127.0.0.1:9000: connect: connection refused",
        "dial tcp 10.40.1.1:4010: connect: connection refused",
        "Get http://host:8403/config: EOF",
        "lookup host on 192.168.1.1:53: no such host",
        "Save(<data/4017a0b403>) returned 507 Insufficient Storage",
        "context deadline exceeded",
    ],
)
def test_an_outage_is_told_from_refused_credentials(error: str) -> None:
    assert explain_backend_error("s3:https://host/b", error) == f"s3:https://host/b cannot be reached ({error})"


@pytest.mark.parametrize("error", ["The specified bucket does not exist", "NoSuchBucket", "bucket backups does not exist"])
def test_a_missing_bucket_is_told(error: str) -> None:
    assert "the bucket does not exist" in explain_backend_error("s3:https://host/b", error)


@pytest.mark.parametrize("text", ["", "plain text", "[]", "{broken"])
def test_output_without_a_document_is_an_error_of_restic(text: str) -> None:
    with pytest.raises(ResticError, match="restic printed no JSON but"):
        last_document(text)


def test_the_last_document_counts() -> None:
    assert last_document('{"id": 1}\nnoise\n{"id": 2}\ncreated restic repository\n') == {"id": 2}


def test_a_status_line_is_progress() -> None:
    heard: list[Progress] = []
    hearing = BackupHearing(heard.append, None)
    hearing.stdout(STATUS)
    hearing.stdout('{"message_type":"status","percent_done":0}')
    assert heard == [Progress(0.25, 1024, 4096, 1, 4, 9), Progress(0.0, 0, 0, 0, 0, None)]
    assert hearing.started


def test_the_summary_of_a_backup_is_read() -> None:
    hearing = BackupHearing(None, None)
    hearing.stdout("plain text in between")
    hearing.stdout(SUMMARY)
    assert hearing.summary == BackupSummary("3d9f2175", 2, 1, 3, 1403, 30, 6, 0.66904414)


def test_a_backup_that_changed_nothing_has_neither_snapshot_nor_a_negative_duration() -> None:
    document = json.loads(SUMMARY)
    del document["snapshot_id"]
    hearing = BackupHearing(None, None)
    hearing.stdout(json.dumps({**document, "total_duration": -9223372036.854775, "backup_end": "0001-01-01T00:00:00Z"}))
    assert hearing.summary is not None
    assert hearing.summary.snapshot_id is None
    assert hearing.summary.duration == 0


def test_what_cannot_be_read_is_named() -> None:
    heard: list[str] = []
    hearing = BackupHearing(None, heard.append)
    for line in (UNREADABLE, READ_ERROR, "Fatal: plain text", '{"message_type":"exit_error","code":3,"message":"x"}'):
        hearing.stderr(line)
    assert heard == hearing.unreadable == ["open /srv/secret: permission denied", "/srv/disk: read failed: input/output error"]


def test_a_source_that_restic_skips_is_noted() -> None:
    hearing = BackupHearing(None, None)
    hearing.stderr("/srv/my data does not exist, skipping")
    assert hearing.skipped == ["/srv/my data"]
    assert hearing.unreadable == []


def test_retries_are_noted() -> None:
    hearing = BackupHearing(None, None)
    assert not hearing.retrying
    hearing.stderr(RETRYING)
    assert hearing.retrying


def test_only_what_moves_is_progress() -> None:
    hearing = BackupHearing(None, None)
    hearing.stdout(STATUS)
    hearing.moved_at = 0.0
    hearing.stdout(STATUS.replace('"seconds_elapsed":1', '"seconds_elapsed":2'))
    assert hearing.moved_at == 0.0
    hearing.stdout(STATUS.replace('"bytes_done":1024', '"bytes_done":1025'))
    assert hearing.moved_at > 0.0


def test_the_summary_of_a_restore_is_read_and_zero_where_left_out() -> None:
    hearing = RestoreHearing(None, None)
    hearing.stdout('{"message_type":"verbose_status","action":"restored","item":"/srv/a","size":5}')
    hearing.stdout('{"message_type":"verbose_status","action":"deleted","item":"/srv/b"}')
    hearing.stdout(
        '{"message_type":"summary","seconds_elapsed":1,"total_files":3,"files_restored":2,"files_skipped":1,"total_bytes":5,"bytes_restored":5}'
    )
    changes = (Change("restored", "/srv/a", 5), Change("deleted", "/srv/b", 0))
    assert hearing.restored == Restored(2, 1, 0, 3, 5, 5, changes)
    assert hearing.first_complaint == ""


def test_the_first_complaint_of_a_restore_is_kept() -> None:
    hearing = RestoreHearing(None, None)
    for item in ("a", "b"):
        hearing.stderr(f'{{"message_type":"error","error":{{"message":"disk full"}},"during":"restore","item":"/srv/{item}"}}')
    assert hearing.first_complaint == " (first: /srv/a: disk full)"
