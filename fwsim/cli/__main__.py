"""`python -m fwsim.cli`: the command `fwsim` if it is not on the path."""

from fwsim.cli import main

if __name__ == "__main__":
    main()
