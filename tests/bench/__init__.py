"""`make bench`: what the chain costs and how much it takes, measured on this machine in one run.

Real processes of ours, started by our commands, are loaded over real sockets on loopback, and what they use is read
from the kernel. Clock time on a shared machine says little, so the figures are processor time wherever that answers the
question; what something "ought to" cost is measured beside it in the same run, in turns with it, and given as a ratio.
Medians of several rounds.

    figures      a figure, its aim, the table
    processes    processor time and memory of a process; helpers that are spoken to in lines of JSON and end with us
    site         a campus of processes
    terminals    helper: face terminals that send at a given rate, and what became of each record
    registers    helper: Modbus units that answer at once
    bare         helper: the least that would have to be done, without any of our code
    parts/       what is measured, one module each
"""
