"""What a launcher started by root does before anything else of the worker's: it stops being root.

The worker runs as a user id that nobody else has. That user can't read below root's home, where environments and
interpreters may lie, so the folders it needs are shown to it in a private mount namespace, under a path it can reach,
as if it owned them (idmapped mounts; a file system that can't do that is shown as it is). Nothing on the disk changes
but the owner of the folder that the worker writes.
"""

from __future__ import annotations

import os

from stemsep_envs.sandbox.launcher import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

STAGE_DIR = "/tmp"  # noqa: S108 - covered by a file system of our own, in a mount namespace of our own
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_KILL = 1, 2, 5
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def staged(number: int) -> str:
    """Return where the stage shows its ``number``-th path."""
    return f"{STAGE_DIR}/{number}"


def may_end_others() -> bool:
    """Say whether this root may end a process that is no longer root's: not where a container keeps that from it."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
        effective = next((line for line in stream if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(effective.split()[1], 16) >> _CAP_KILL & 1)


def chown_tree(folder: str, uid: int) -> None:
    """Give a folder and all in it to the worker's user, following no link. Depth costs no descriptors and no stack.

    Raises:
        OSError: Someone moved a folder meanwhile.
    """
    current = os.open(folder, _FOLDER_FLAGS)
    try:
        os.fchown(current, uid, uid)
        above: list[tuple[tuple[int, int], list[str]]] = []
        pending = _chown_entries(current, uid)
        while pending or above:
            if pending:
                name = pending.pop()
                try:
                    inner = os.open(name, _FOLDER_FLAGS, dir_fd=current)
                except PermissionError:
                    continue  # this root has few rights, and gets no further
                above.append((_identity(current), pending))
                os.close(current)
                current = inner
                pending = _chown_entries(current, uid)
            else:
                left, pending = above.pop()
                outer = os.open("..", _FOLDER_FLAGS, dir_fd=current)
                os.close(current)
                current = outer
                if _identity(current) != left:
                    raise OSError(f"a folder in {folder} was moved meanwhile")
    finally:
        os.close(current)


def _chown_entries(folder: int, uid: int) -> list[str]:
    """Give what lies in an open folder to a user; return the names of the folders among it."""
    with os.scandir(folder) as entries:
        kinds = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, _ in kinds:
        os.chown(name, uid, uid, dir_fd=folder, follow_symlinks=False)
    return [name for name, is_dir in kinds if is_dir]


def _identity(folder: int) -> tuple[int, int]:
    facts = os.fstat(folder)
    return facts.st_dev, facts.st_ino


def stage(readable: Sequence[str], writable: str, uid: int) -> None:
    """Show the paths under `STAGE_DIR` in a mount namespace of this process: the readable in order, then the writable.

    Raises:
        OSError: This process lacks the privilege (a container without it), or a path is not there.
    """
    maps: dict[tuple[int, int], int] = {}
    trees = [_readable_tree(path, uid, maps) for path in readable]
    writable_tree = kernel.clone_tree(writable)
    kernel.restrict_tree(writable_tree, read_only=False, userns=None)
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.make_mounts_private()
    kernel.mount_tmpfs(STAGE_DIR, "mode=0755,size=1m")
    for number, (tree, is_folder) in enumerate([*trees, (writable_tree, True)]):
        target = staged(number)
        if is_folder:
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        kernel.attach_tree(tree, target)
        os.close(tree)
    for descriptor in maps.values():
        os.close(descriptor)


def _readable_tree(path: str, uid: int, maps: dict[tuple[int, int], int]) -> tuple[int, bool]:
    status = os.stat(path)
    owner = (status.st_uid, status.st_gid)
    if owner not in maps:
        maps[owner] = _identity_map(owner, uid)
    tree = kernel.clone_tree(path)
    try:
        kernel.restrict_tree(tree, read_only=True, userns=maps[owner])
    except OSError:  # this file system can't: readable is then what every user may read
        kernel.restrict_tree(tree, read_only=True, userns=None)
    return tree, status.st_mode & 0o170000 == 0o040000


def _identity_map(owner: tuple[int, int], uid: int) -> int:
    """Return a user namespace whose map shows ``owner`` as ``uid``. It lives as long as the descriptor."""
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()
    child = os.fork()
    if child == 0:  # holds the namespace open until its map is written
        try:
            os.close(done_write)
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(ready_write, b"1")
            os.read(done_read, 1)
        finally:
            os._exit(1)
    try:
        os.close(ready_write)
        os.close(done_read)
        if not os.read(ready_read, 1):
            raise OSError("root cannot make a user namespace here")
        for name, inside in zip(("uid_map", "gid_map"), owner, strict=True):
            descriptor = os.open(f"/proc/{child}/{name}", os.O_WRONLY)
            os.write(descriptor, f"{inside} {uid} 1\n".encode())
            os.close(descriptor)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready_read)
        os.close(done_write)
        os.waitpid(child, 0)


def drop(uid: int, needed: Sequence[str] = ()) -> None:
    """Become the unprivileged user for good.

    Args:
        uid: User and group.
        needed: Paths the worker must read. Where nothing can be mounted (a container) and this user can't reach one of
            them, one capability stays, which lets it read in spite of modes; only below Landlock, which rules then.
    """
    reachable = _reachable_by(uid, needed)
    os.setgroups([])
    if reachable:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return
    kernel.keep_capabilities_across_setuid()
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    try:
        kernel.set_capabilities([_CAP_DAC_READ_SEARCH])
    except OSError:  # containers usually have only the wider one
        kernel.set_capabilities([_CAP_DAC_OVERRIDE])


def _reachable_by(uid: int, needed: Sequence[str]) -> bool:
    if not needed:
        return True
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            status = 0 if all(os.access(path, os.R_OK) for path in needed) else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
