"""`python -m lumosai`: the command line."""

from lumosai.cli import main

if __name__ == "__main__":
    main()
