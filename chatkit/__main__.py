"""Let ``python -m chatkit`` be the ``chatkit`` command."""

from chatkit.cli import main

if __name__ == "__main__":
    main()
