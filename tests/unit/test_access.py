"""From a repository of the manifest to restic on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import access
from holdfast.errors import ConfigurationError
from tests.unit.samples import NAS, SECRET


def test_an_environment_file_is_read_as_systemd_and_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text('# comment\n\nAWS_ACCESS_KEY_ID=AKID\n  B=\'quoted = "x"\'  \nC="double"\nD=\nE=a=b\n')
    found = access.environment_of(NAS._replace(environment_file=str(path)))
    assert found == {"AWS_ACCESS_KEY_ID": "AKID", "B": 'quoted = "x"', "C": "double", "D": "", "E": "a=b"}


def test_without_an_environment_file_nothing_is_added() -> None:
    assert access.environment_of(NAS) == {}


@pytest.mark.parametrize("line", [SECRET, f"a b={SECRET}", f"={SECRET}", f"A-B={SECRET}"])
def test_a_wrong_line_is_named_and_never_shown(tmp_path: Path, line: str) -> None:
    (tmp_path / "env").write_text(f"A=1\n{line}\n")
    with pytest.raises(ConfigurationError, match=r"/env: line 2 is not of the form KEY=VALUE\.$") as caught:
        access.read_environment(tmp_path / "env")
    assert SECRET not in str(caught.value)


def test_a_missing_environment_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"/env: is missing\. Run site\.yml, or provide the file\."):
        access.read_environment(tmp_path / "env")
