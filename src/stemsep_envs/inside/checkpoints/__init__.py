"""Checkpoints: pickles made into data once, and data read as what the pickle would have been. Nothing is executed.

A checkpoint in pickle form is a program for a small machine, which may call any function that Python can import. Here
the program is followed by a machine of our own that calls none: it knows how torch and numpy describe tensors and
arrays, and keeps every other call as a record of what would have been called. What comes of it is stored as a
safetensors file: the bytes of the tensors, and in the metadata a table that says how they hang together.

    inert       what stands for everything that is not data
    tree        the table: its format, and objects from it
    reading     a safetensors file as objects, its tensors mapped into memory       <- what an adapter uses
    values      what the machine makes
    machine     follows a pickle
    rebuilding  the calls that it knows
    archives    torch's file formats: zip, and the one before
    report      what a checkpoint contains
    storing     values as a table and a safetensors file
    converting  a checkpoint to a safetensors file
"""
