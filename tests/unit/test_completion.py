"""Completion scripts, loaded by the real shells and asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from crossmod.cli import main

BASH = """
source ./script
ask() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  _shtab_crossmod "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  echo "${COMPREPLY[*]}"
}
complete -p crossmod > /dev/null || exit 1
"""
# zsh completes at a prompt only: a second zsh is given one, and the keys.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=($PWD/functions \$fpath); autoload -Uz compinit; compinit -u -D; print go"
zpty -r -m shell line '*go*'
ask() {
  zpty -n -w shell "$1"$'\t'
  zpty -r -m shell line "*$2*" && print found
  zpty -n -w shell $'\C-u'
}
"""


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Run a program of a shell beside the completion script for that shell."""

    def run(shell: str, program: str) -> list[str]:
        if shutil.which(shell) is None:
            pytest.skip(f"no {shell} here")
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        for path in (Path("script"), Path("functions/_crossmod")):
            path.parent.mkdir(exist_ok=True)
            path.write_text(script)
        options = {"bash": ["--norc"], "fish": ["--no-config"], "zsh": ["-f"]}[shell]
        done = subprocess.run(
            [shell, *options, "-c", program],
            capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "study.yaml").touch()
    return run


def test_bash(ask) -> None:
    found = ask(
        "bash",
        BASH + "ask crossmod es\nask crossmod train --re\nask crossmod -q index stu\n"
        "ask crossmod index --data-dir stu\nask crossmod completion f\n",
    )
    assert found[:2] == ["estimate", "--resume-dir"]
    assert set(found[2].split()) == {"studies", "study.yaml"}
    assert found[3:] == ["studies", "fish"]


def test_fish(ask) -> None:
    program = "source ./script\n" + "".join(
        f"complete -C 'crossmod {words}'\n"
        for words in ("es", "train --re", "index stu", "index --data-dir stu", "completion f")
    )
    found = [line.split("\t")[0] for line in ask("fish", program)]
    assert found == [
        "estimate", "--resume-dir", "studies/", "study.yaml", "studies/", "fish"
    ]  # fmt: skip


def test_zsh(ask) -> None:
    program = ZSH + "ask 'crossmod es' estimate\nask 'crossmod train --re' --resume-dir\n"
    assert ask("zsh", program) == ["found", "found"]


def test_another_shell_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["completion", "cmd"])
    assert "invalid choice: 'cmd'" in capsys.readouterr().err
