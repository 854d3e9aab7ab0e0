"""Run the command line as ``python -m aedetect``."""

from .apps.cli import main

if __name__ == "__main__":
    main(prog_name="aedetect")
