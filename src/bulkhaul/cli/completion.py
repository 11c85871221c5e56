"""Answers what a shell asks for at a press of TAB: commands, options, choices, profiles, buckets, keys, and files.

One line an answer: its kind, a TAB, the word.

    plain      a whole word
    part       a word that goes on: a bucket, a folder
    file, dir  what the shell itself knows of files
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click
from click.shell_completion import CompletionItem, ShellComplete

from bulkhaul.cli.click_extensions import COMPLETING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkhaul.engine.aio import AsyncEngine

SECONDS = 2.0
"""How long a service may take: whoever pressed TAB waits."""

_SCHEME = "s3://"
_FILES = frozenset({"files_from", "files_from0", "manifest", "certificate", "against", "output", "file", "log"})
_PLACES = frozenset({"paths", "places", "url", "urls", "job_name", "destination", "to"})
_PROFILES = frozenset({"profile", "source_profile"})


class Completion(ShellComplete):
    """click's, with options before the command, and with what this program knows of the values."""

    name = "bulkhaul"

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what may stand in the place of ``incomplete`` behind the words ``args``."""
        from bulkhaul.cli.global_options import options, split

        if (args or [incomplete])[0].startswith("-"):
            _, rest, open_option = split(args)
            if open_option is not None:
                return self.values(click.Context(self.cli), open_option, incomplete)
            if not rest and incomplete.startswith("-"):
                names = [*options(), "--version", "--help"]
                return [CompletionItem(one) for one in names if one.startswith(incomplete) and one.startswith("--")]
        from click.shell_completion import _resolve_context, _resolve_incomplete

        args = list(args)
        ctx = _resolve_context(self.cli, self.ctx_args, self.prog_name, args)
        found, incomplete = _resolve_incomplete(ctx, args, incomplete)
        if isinstance(found, click.Parameter):
            return self.values(ctx, found, incomplete)
        if isinstance(found, click.Group) or incomplete.startswith("-"):
            return found.shell_complete(ctx, incomplete)
        many = [one for one in found.params if isinstance(one, click.Argument)]
        return self.values(ctx, many[-1], incomplete) if many else []

    def values(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return what may be the value of an option or an argument."""
        name = param.name or ""
        if name in _PROFILES:
            return [CompletionItem(one) for one in profiles() if one.startswith(incomplete)]
        if name in _FILES:
            return [CompletionItem(incomplete, type="file")]
        if name not in _PLACES:
            return param.shell_complete(ctx, incomplete)
        if incomplete.startswith(_SCHEME):
            return [CompletionItem(one, type=kind) for kind, one in remote(ctx, incomplete)]
        found = [CompletionItem(incomplete, type="file")]
        if _SCHEME.startswith(incomplete):
            found.append(CompletionItem(_SCHEME, type="part"))
        return found


def profiles() -> list[str]:
    """Return the names of the profiles in the AWS configuration files, sorted; what cannot be read has none."""
    import configparser

    from bulkhaul.policy.environment import CONFIG_FILE, CREDENTIALS_FILE

    names = set()
    for variable, place in (CONFIG_FILE, CREDENTIALS_FILE):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(os.path.expanduser(os.environ.get(variable) or place))
        except (OSError, ValueError, configparser.Error):
            continue  # a press of TAB is no place for errors
        for heading in parser.sections():
            kind, blank, name = heading.partition(" ")
            if not blank:
                names.add(kind)
            elif kind == "profile":
                names.add(name.strip())
    return sorted(names)


def remote(ctx: click.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the (kind, URL) of buckets, or of keys and folders of one folder, that begin with ``incomplete``.

    The connection is that of the options on the line. Whatever goes wrong, there is none.
    """
    from bulkhaul.cli import early

    early.start()
    import asyncio

    from bulkhaul.cli.options import make_settings, take_settings
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.model.errors import TransferError

    given = take_settings(dict(ctx.params)) | {"retry_for_s": 0, "workers": 1, "concurrency": 2}
    bucket, slash, prefix = incomplete.removeprefix(_SCHEME).partition("/")

    async def asked() -> list[tuple[str, str]]:
        async with AsyncEngine(make_settings(given), forkserver=early.take()) as engine:
            return await (_folder(engine, bucket, prefix) if slash else _buckets(engine, incomplete))

    try:
        return asyncio.run(asked())
    except (TransferError, click.UsageError, OSError):
        return []


async def _buckets(engine: AsyncEngine, incomplete: str) -> list[tuple[str, str]]:
    async for page in engine.control.buckets():
        urls = [f"{_SCHEME}{bucket.name}/" for bucket in page]
        return [("part", url) for url in urls if url.startswith(incomplete)]
    return []


async def _folder(engine: AsyncEngine, bucket: str, prefix: str) -> list[tuple[str, str]]:
    async for objects, prefixes in engine.control.folder(bucket, prefix):
        keys = [("plain", head.key) for head in objects if head.key != prefix]
        named = [*(("part", one) for one in prefixes), *keys]
        return [(kind, f"{_SCHEME}{bucket}/{key}") for kind, key in named if key.isprintable()]
    return []


def complete(cli: click.Group) -> NoReturn:
    """Answer by the variables of the script, and end the process; after ``SECONDS`` without an answer.

    ``COMP_WORDS`` has the words before the one that is completed, one a line, and ``COMP_CUR`` that one.
    """
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    words = os.environ.get("COMP_WORDS", "").split("\n")[1:]
    try:
        found = Completion(cli, {}, "bulkhaul", COMPLETING).get_completions(words, os.environ.get("COMP_CUR", ""))
    except click.ClickException:
        found = []
    sys.stdout.write("".join(lines(found)))
    sys.stdout.flush()
    os._exit(0)


def lines(found: Sequence[CompletionItem]) -> Iterator[str]:
    """Yield the answers as the scripts read them."""
    for item in found:
        yield f"{item.type}\t{item.value}\n"


BASH = r"""_bulkhaul_quoted() {
    # How a value is typed behind an open quote, or without one.
    case $2 in
        "'") printf %s "${1//"'"/"'\\''"}" ;;
        '"')
            local value="${1//"\\"/"\\\\"}"
            value="${value//"\""/"\\\""}"
            value="${value//"\$"/"\\\$"}"
            printf %s "${value//"\`"/"\\\`"}"
            ;;
        *) if [[ $1 == *[\ \'\"\\\&\;\|\<\>\(\)\$\`\*\?\[\#\!\{]* ]]; then printf %q "$1"; else printf %s "$1"; fi ;;
    esac
}
_bulkhaul_completion() {
    # bash cuts a word behind an open quote, else behind the last = : or other character of COMP_WORDBREAKS (before an
    # @). The program gets words whole, and bash what follows the cut: it replaces nothing else.
    local words=() word="" cut="" before="" quote="" seen=0 files=0 at char line kind value
    local raw="${COMP_LINE:0:COMP_POINT}"
    if [[ -z $raw ]]; then raw="${COMP_WORDS[*]:0:COMP_CWORD+1}"; fi
    for ((at = 0; at < ${#raw}; at++)); do
        char="${raw:at:1}"
        if [[ $char == "\\" && $quote != "'" ]]; then at=$((at + 1)); word+="${raw:at:1}"; seen=1
        elif [[ -n $quote ]]; then
            if [[ $char == "$quote" ]]; then quote=""; cut="$before"; else word+="$char"; fi
        elif [[ $char == "'" || $char == '"' ]]; then quote="$char"; seen=1; before="$cut"; cut="$word"
        elif [[ $char == " " || $char == $'\t' ]]; then
            if [[ -n $word || $seen == 1 ]]; then words+=("$word"); fi
            word=""; seen=0; cut=""
        else
            if [[ $COMP_WORDBREAKS != *"$char"* ]]; then word+="$char"
            elif [[ $char == "@" ]]; then cut="$word"; word+="$char" # readline's rl_special_prefixes
            else word+="$char"; cut="$word"; fi
        fi
    done
    local IFS=$'\n'
    COMPREPLY=()
    while IFS=$'\t' read -r kind value; do
        case $kind in
            file) files=1 ;;
            dir) files=2 ;;
            part | plain)
                [[ $kind == part ]] && compopt -o nospace 2> /dev/null
                COMPREPLY+=("$(_bulkhaul_quoted "${value#"$cut"}" "$quote")")
                ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CUR="$word" _BULKHAUL_COMPLETE=complete "$1" 2> /dev/null)
    if ((files)); then
        if [[ $word == --*=* ]]; then cut="${cut#"${word%%=*}="}"; word="${word#*=}"; fi
        while read -r line; do
            if [[ -n $cut ]]; then # of a part of a path bash cannot tell a folder
                value="$(_bulkhaul_quoted "${line#"$cut"}" "$quote")"
                if [[ -d $line ]]; then value+="/"; compopt -o nospace 2> /dev/null; fi
                COMPREPLY+=("$value")
            else
                COMPREPLY+=("$line")
            fi
        done < <(compgen -f -- "$word")
        if [[ -z $cut ]]; then
            ((${#COMPREPLY[@]} > 1)) || [[ ${COMPREPLY[0]} != s3://* ]] && compopt -o filenames 2> /dev/null
        fi
    fi
    return 0
}
complete -o nosort -F _bulkhaul_completion bulkhaul
"""

ZSH = r"""#compdef bulkhaul
_bulkhaul() {
    local -a plain part
    local kind value files=0
    while IFS=$'\t' read -r kind value; do
        case $kind in
            plain) plain+=("$value") ;;
            part) part+=("$value") ;;
            file) files=1 ;;
            dir) files=2 ;;
        esac
    done < <(COMP_WORDS="${(F)${(@Q)words[1,CURRENT-1]}}" COMP_CUR="${(Q)PREFIX}" _BULKHAUL_COMPLETE=complete \
        ${(Q)words[1]} 2> /dev/null)
    compset -P '--[^=]#='
    (($#plain)) && compadd -a plain
    (($#part)) && compadd -S '' -a part
    ((files)) && _files
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _bulkhaul "$@"
else
    compdef _bulkhaul bulkhaul
fi
"""

FISH = r"""function _bulkhaul_completion
    set -l words (commandline -opc)
    set -l raw (commandline -ct)
    # Behind an open quote there is none yet that closes it.
    set -l cur (string unescape -- "$raw"; or string unescape -- "$raw'"; or string unescape -- "$raw\"")
    set -l option (string match -r -- '^--[^=]+=' "$cur")
    for line in (env COMP_WORDS=(string join \n -- $words | string collect) COMP_CUR="$cur" \
            _BULKHAUL_COMPLETE=complete $words[1] 2> /dev/null)
        set -l found (string split -m 1 \t -- $line)
        switch $found[1]
            case file dir
                for path in (__fish_complete_path (string replace -r -- '^--[^=]+=' '' "$cur"))
                    echo "$option$path"
                end
            case '*'
                echo "$option$found[2]"
        end
    end
end
complete --no-files --command bulkhaul --arguments "(_bulkhaul_completion)"
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
"""The script of each shell; it begins the program with ``COMPLETING`` and reads its answers."""
