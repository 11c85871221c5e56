"""Why some command lines of s5cmd mean something else here; docs/coming-from/s5cmd.md tells each of these sentences."""

from __future__ import annotations

STATUS = "A command line that makes no sense ends with status 2; s5cmd ends every failure with 1."

FOLDER = (
    "A folder `dir` without a slash needs `--recursive`, and what is in it then goes into `DEST` itself, as "
    "with aws-cli; s5cmd puts it into `DEST/dir/`. `dir/` means the same in both."
)

DESTINATION = "Many files or objects go below `DEST` whether or not it ends in a slash; s5cmd asks for the slash."

LITERAL_DESTINATION = (
    "`*` and `?` in `DEST`, and in the key of `head` and `pipe`, are characters of the name; s5cmd asks for `--raw`."
)

SEVERAL = "`cp` and `mv` take several `SRC`, so a pattern may also be left to the shell."

HIDDEN = (
    "A pattern of local files finds no hidden names, as in a shell; s5cmd takes them. They are taken below a folder "
    "that it finds, by `sync 'dir/*'`, which is `sync dir/`, and by lines of `run`, as s5cmd does."
)

LOOPS = (
    "A link to a folder that it lies in is a failure by its name, and is not entered; s5cmd enters it some forty times."
)

ODD_KEYS = "A copy between buckets takes keys with any characters; s5cmd fails with some of them."

TYPE_BY_NAME = (
    "The Content-Type is told by the name of a file, else it is `application/octet-stream`; s5cmd also looks "
    "into the file."
)

CHARSET = "The Content-Type of a text file names no character set, which nobody knows; s5cmd says UTF-8."

MORE_FILTERS = (
    "Of `--include` and `--exclude` the last one that matches wins, as with aws-cli, and what none matches is"
    " left out only where the first one is an `--include`. With s5cmd an `--exclude` always wins: write it "
    "last."
)

VERSIONS = "`--all-versions` of a key is of this key alone; s5cmd also takes the keys that begin with it."

LOCAL = "`ls` and `rm` are for S3 alone, so that no slip removes files; the shell has its own."

MARKER = "A key that ends in a slash is an object to `rm`, and to remove one that is missing is no failure."

DASHES = "Long options take two dashes; only the lines of `run` take one."

OWN_OPTIONS = (
    "Options that have nothing to do here end the command with status 2, and the message says what to type: "
    "`--stat`, `--show-progress`, `--retry-count`, `--credentials-file`, `--use-list-objects-v1`, "
    "`--ignore-glacier-warnings`, `--destination-region`, `--exit-on-error`."
)

UNITS = "Sizes are bytes, or have a unit: `--part-size 50MiB` where s5cmd has `--part-size 50`."

ONE_VERSION = "`du` has no `--version-id`: `bulkhaul head --version-id ID` tells the size of that one."

CLOSED = "There is no `select`, which AWS has closed to new customers, and no `bucket-version`; aws-cli has both."
