"""``python -m bulkhaul`` is the ``bulkhaul`` command."""

from bulkhaul.cli.main import main

if __name__ == "__main__":
    main()
