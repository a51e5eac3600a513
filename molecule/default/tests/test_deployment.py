"""What site.yml leaves on a host: every declared job and no other, the files that it needs, and a sandbox around it."""

from __future__ import annotations

import json
import re

import pytest
from testinfra.host import Host

from tests.integration.machine import METRICS, Machine, backup_unit

SERVICES = {
    "odd", "pair", "slow", "upload", "cloud", "both", "mounted", "cramped", "sealed", "keep-1", "keep-3", "hooked",
    "web2_site", "wiki", "shipped",
}  # fmt: skip
JOBS = {"system", *(f"service-{name}" for name in SERVICES)}


def test_every_source_of_services_gives_its_jobs_and_no_other(machine: Machine) -> None:
    timers = machine.sh("systemctl list-timers --all --no-legend 'holdfast-backup@*'")
    assert set(re.findall(r"holdfast-backup@(\S+)\.timer", timers)) == JOBS
    files = machine.sh(f"ls {METRICS}/holdfast_backup_*").split()
    assert {path.rpartition("holdfast_backup_")[2] for path in files} == {f"{job}.prom" for job in JOBS}
    assert {entry["job"] for entry in machine.json("status")["jobs"]} == JOBS


def test_spellings_of_the_seed_mean_the_same(machine: Machine) -> None:
    job = json.loads(machine.read("/etc/holdfast/manifest.json"))["jobs"]["service-web2_site"]
    assert job["exclude"] == ["*.tmp", "cache"]
    assert job["pre_backup"] == ["test -d /srv/web2"]
    assert job["runbook_url"] == "https://runbooks.example/web2"


def test_what_is_excluded_is_not_stored_and_nothing_else(machine: Machine) -> None:
    def stored(job: str, path: str) -> set[str]:
        snapshot = machine.snapshots(job, "nas")[-1]["id"]
        return set(machine.restic_by_hand("nas", "ls", snapshot, path).split())

    assert "/srv/web2/left.tmp" not in stored("web2_site", "/srv/web2")
    assert "/srv/wiki/left.tmp" in stored("wiki", "/srv/wiki")


def test_system_job_stores_the_package_list(machine: Machine) -> None:
    snapshot = machine.snapshots("system", "nas")[-1]
    assert {"/etc", "/root", "/usr/local", "/var/lib/holdfast/system"} <= set(snapshot["paths"])
    packages = machine.restic_by_hand("nas", "dump", snapshot["id"], "/var/lib/holdfast/system/packages")
    assert re.search(r"^python3\s+install$", packages, re.MULTILINE)


def test_mount_of_a_repository_is_wanted_and_waited_for_but_judged_by_the_engine(machine: Machine) -> None:
    unit = backup_unit("service-mounted")
    for name, listed in {"Wants": True, "After": True, "Requires": False, "RequiresMountsFor": False}.items():
        assert ("mnt-disk.mount" in machine.show(unit, name).split()) is listed, name


def test_timers_are_persistent_and_spread_and_each_has_a_next_run(machine: Machine) -> None:
    seen = set()
    for job in sorted(JOBS):
        unit = f"holdfast-backup@{job}.timer"
        found = {name: machine.show(unit, name) for name in ("Persistent", "TimersCalendar", "ActiveState", "NextElapseUSecRealtime")}
        assert found["Persistent"] == "yes"
        assert found["ActiveState"] == "active"
        assert found["NextElapseUSecRealtime"]
        seen.update(re.findall(r"OnCalendar=(.*?) ;", found["TimersCalendar"]))
    assert "Mon..Fri *-*-* 04:30:00" in seen
    assert len(seen) == len(JOBS)


def test_reload_of_systemd_moves_no_timer(machine: Machine) -> None:
    show = "systemctl show holdfast-backup@service-web2_site.timer -p NextElapseUSecRealtime"
    before = machine.sh(show)
    machine.sh("systemctl daemon-reload")
    assert machine.sh(show) == before


def test_job_is_in_the_slice_with_its_limits(machine: Machine) -> None:
    unit = "holdfast-backup@service-wiki.service"
    names = ["Slice", "MemoryMax", "MemoryLow", "CPUQuotaPerSecUSec", "Nice", "IOSchedulingClass", "ProtectSystem", "NoNewPrivileges"]
    assert {name: machine.show(unit, name) for name in names} == {
        "Slice": "holdfast.slice",
        "MemoryMax": str(512 * 1024**2),
        "MemoryLow": str(256 * 1024**2),
        "CPUQuotaPerSecUSec": "1s",
        "Nice": "10",
        "IOSchedulingClass": "3",
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
    }


def test_sandbox_leaves_little_exposed(machine: Machine) -> None:
    for unit in ("holdfast-backup@service-wiki.service", "holdfast-forget@nas.service"):
        said = machine.sh(f"systemd-analyze security --no-pager {unit}", check=False)
        exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
        assert exposure
        print(f"{machine.name}: {exposure[0]}")
        assert float(exposure[1]) < 5


def test_secrets_can_be_read_by_their_owner_alone(host: Host, secrets: dict[str, str]) -> None:
    for name in secrets:
        path = "/etc/holdfast/secrets/bucket.env" if name == "s3" else f"/etc/holdfast/secrets/{name}.password"
        file = host.file(path)
        assert (file.user, file.mode) == ("root" if name == "s3" else "holdfast", 0o400)
    assert host.file("/etc/holdfast/secrets").mode == 0o711
    assert host.file("/etc/holdfast/secrets/nas.password").content_string == secrets["nas"]


def test_user_has_the_fixed_id_and_no_login(host: Host) -> None:
    user = host.user("holdfast")
    assert (user.uid, user.gid, user.shell) == (847, 847, "/usr/sbin/nologin")


def test_restic_is_new_enough(machine: Machine) -> None:
    version = machine.run(["restic", "version"]).stdout.split()[1]
    assert tuple(int(part) for part in version.split(".")) >= (0, 18, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("holdfast backup service-w", {"service-web2_site", "service-wiki"}),
        ("holdfast forget va", {"vault"}),
        ("holdfast sna", {"snapshots"}),
        ("holdfast restore system --sn", {"--snapshot"}),
    ],
)
def test_shell_completes_verbs_jobs_and_repositories(machine: Machine, line: str, expected: set[str]) -> None:
    script = """
    . /usr/share/bash-completion/bash_completion
    COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
    read -r -a COMP_WORDS <<< "$1"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _comp_load holdfast 2> /dev/null || _completion_loader holdfast
    function=$(complete -p holdfast | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    "$function" holdfast "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert set(machine.run(["bash", "-c", script, "-", line]).stdout.split()) == expected
