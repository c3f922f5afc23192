/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD library that does harm at the Nth disk call or allocation of a program.
 *
 *     FARSHORE_FAULT_DIR      only calls on files in this folder count (absolute)
 *     FARSHORE_FAULT_CONTROL  the control file (fault_shim.h), of the right size already
 *
 * Without these it does nothing. Calls go to the kernel directly and allocations to glibc's
 * __libc_* names, so that the shim allocates nothing and needs no look-up of the functions that it
 * stands in for. It sees what the program calls through libc's names, and nothing of what libc does
 * inside (stdio, for one): tests/fault/test_sight.py compares with strace.
 */
#include "tests/tools/fault_shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HALF_IOV_MAX = 1024 };

static struct fault_control *control;
static char folder[PATH_MAX];
static size_t folder_len;

__attribute__((constructor)) static void start(void)
{
	const char *dir = getenv("FARSHORE_FAULT_DIR"), *file = getenv("FARSHORE_FAULT_CONTROL");
	if (dir == NULL || file == NULL)
		return;
	folder_len = strlen(dir);
	int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
	if (fd < 0 || folder_len >= sizeof folder)
		_exit(127);
	memcpy(folder, dir, folder_len + 1);
	void *p = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (p == MAP_FAILED)
		_exit(127);
	control = p;
}

/* ---- which calls count ---- */

static bool path_in_folder(const char *path)
{
	return strncmp(path, folder, folder_len) == 0 &&
	       (path[folder_len] == '/' || path[folder_len] == '\0');
}

/* The path of a descriptor (AT_FDCWD: the working directory); false if it has none. */
static bool fd_path(int fd, char path[PATH_MAX])
{
	if (fd == AT_FDCWD)
		return syscall(SYS_getcwd, path, PATH_MAX) > 0;
	char name[32];
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	long n = syscall(SYS_readlinkat, AT_FDCWD, name, path, PATH_MAX - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return true;
}

/* True if the fault is to be done now; notes where. */
static bool due(enum fault_kind kind, const char *path)
{
	if ((control->mask >> kind & 1) == 0)
		return false;
	uint64_t number = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
	uint64_t at = control->call_at;
	if (at == 0 || number < at || number - at >= (control->call_n ? control->call_n : 1))
		return false;
	control->fired++;
	control->fired_kind = kind;
	snprintf(control->fired_path, sizeof control->fired_path, "%s", path);
	return true;
}

static bool due_fd(enum fault_kind kind, int fd)
{
	char path[PATH_MAX];
	if (control == NULL)
		return false;
	int saved = errno;
	bool yes = fd_path(fd, path) && path_in_folder(path) && due(kind, path);
	errno = saved;
	return yes;
}

static bool due_at(enum fault_kind kind, int fd, const char *path)
{
	if (control == NULL || path == NULL)
		return false;
	if (path[0] == '/')
		return path_in_folder(path) && due(kind, path);
	char base[PATH_MAX];
	int saved = errno;
	bool yes = fd_path(fd, base) && path_in_folder(base) && due(kind, path);
	errno = saved;
	return yes;
}

/* ---- what is done ---- */

__attribute__((noreturn)) static void die(void)
{
	for (;;)
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

/* Before the call: true if it is not to be made at all, errno set. */
static bool refuse(void)
{
	switch ((enum fault_action)control->action) {
	case FAULT_KILL_BEFORE:
		die();
	case FAULT_EIO:
		errno = EIO;
		return true;
	case FAULT_ENOSPC:
		errno = ENOSPC;
		return true;
	case FAULT_KILL_AFTER:
	case FAULT_KILL_HALF:
	case FAULT_SHORT:
		break;
	}
	return false;
}

/* After a call that was `due`. */
static long after(long result)
{
	if (control->action == FAULT_KILL_AFTER || control->action == FAULT_KILL_HALF)
		die();
	return result;
}

/* A call without a length. */
#define GUARDED(is_due, call)                            \
	do {                                             \
		if (!(is_due))                           \
			return (int)(call);              \
		return refuse() ? -1 : (int)after(call); \
	} while (0)

/* How much of a write of `n` bytes is done; `*fault` says whether this is the one. */
static size_t write_size(int fd, size_t n, bool *fault)
{
	*fault = due_fd(FAULT_WRITE, fd);
	if (!*fault)
		return n;
	bool half = control->action == FAULT_KILL_HALF || control->action == FAULT_SHORT;
	return half ? n / 2 : n;
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at, bool positioned)
{
	bool fault;
	size_t take = write_size(fd, n, &fault);
	if (fault && refuse())
		return -1;
	long done = positioned ? syscall(SYS_pwrite64, fd, p, take, at)
			       : syscall(SYS_write, fd, p, take);
	return fault ? after(done) : done;
}

static ssize_t writev_at(int fd, const struct iovec *iov, int n, off_t at, bool positioned)
{
	struct iovec cut[HALF_IOV_MAX];
	size_t total = 0;
	bool fault;
	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	size_t take = write_size(fd, total, &fault);
	if (fault && refuse())
		return -1;
	int used = 0;
	if (take < total && n <= HALF_IOV_MAX) {
		for (size_t left = take; left > 0; used++) {
			cut[used] = iov[used];
			if (cut[used].iov_len > left)
				cut[used].iov_len = left;
			left -= cut[used].iov_len;
		}
		iov = cut;
		n = used;
	}
	long done = positioned ? syscall(SYS_pwritev, fd, iov, n, at, 0)
			       : syscall(SYS_writev, fd, iov, n);
	return fault ? after(done) : done;
}

/* ---- the calls ---- */

static int open_any(int dir, const char *path, int flags, mode_t mode)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
	GUARDED(due_at(writes ? FAULT_OPEN : FAULT_READ, dir, path),
		syscall(SYS_openat, dir, path, flags, mode));
}

static mode_t mode_of(int flags, va_list ap)
{
	bool has = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
	return has ? (mode_t)va_arg(ap, unsigned) : 0;
}

#define OPEN(name)                                            \
	int name(const char *path, int flags, ...)            \
	{                                                     \
		va_list ap;                                   \
		va_start(ap, flags);                          \
		mode_t mode = mode_of(flags, ap);             \
		va_end(ap);                                   \
		return open_any(AT_FDCWD, path, flags, mode); \
	}
#define OPENAT(name)                                        \
	int name(int dir, const char *path, int flags, ...) \
	{                                                   \
		va_list ap;                                 \
		va_start(ap, flags);                        \
		mode_t mode = mode_of(flags, ap);           \
		va_end(ap);                                 \
		return open_any(dir, path, flags, mode);    \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* What open becomes with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open_any(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return open_any(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
	return open_any(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
	return open_any(dir, path, flags, 0);
}

int creat(const char *path, mode_t mode)
{
	return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode)
{
	return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

ssize_t write(int fd, const void *p, size_t n)
{
	return write_at(fd, p, n, 0, false);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return write_at(fd, p, n, at, true);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return write_at(fd, p, n, at, true);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return writev_at(fd, iov, n, 0, false);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	return writev_at(fd, iov, n, at, true);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t at)
{
	return writev_at(fd, iov, n, at, true);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags)
{
	bool fault;
	size_t take = write_size(out, n, &fault);
	if (fault && refuse())
		return -1;
	long done = syscall(SYS_copy_file_range, in, in_at, out, out_at, take, flags);
	return fault ? after(done) : done;
}

#define READ(name, parameters, ...)                     \
	ssize_t name parameters;                        \
	ssize_t name parameters                         \
	{                                               \
		if (due_fd(FAULT_READ, fd) && refuse()) \
			return -1;                      \
		return syscall(__VA_ARGS__);            \
	}
#define ROOM size_t room __attribute__((unused)) /* of the fortified names: checked by libc */
READ(read, (int fd, void *p, size_t n), SYS_read, fd, p, n)
READ(__read_chk, (int fd, void *p, size_t n, ROOM), SYS_read, fd, p, n)
READ(pread, (int fd, void *p, size_t n, off_t at), SYS_pread64, fd, p, n, at)
READ(pread64, (int fd, void *p, size_t n, off64_t at), SYS_pread64, fd, p, n, at)
READ(__pread_chk, (int fd, void *p, size_t n, off_t at, ROOM), SYS_pread64, fd, p, n, at)
READ(__pread64_chk, (int fd, void *p, size_t n, off64_t at, ROOM), SYS_pread64, fd, p, n, at)
READ(readv, (int fd, const struct iovec *iov, int n), SYS_readv, fd, iov, n)
READ(preadv, (int fd, const struct iovec *iov, int n, off_t at), SYS_preadv, fd, iov, n, at, 0)
READ(preadv64, (int fd, const struct iovec *iov, int n, off64_t at), SYS_preadv, fd, iov, n, at, 0)
READ(sendfile, (int out, int fd, off_t *at, size_t n), SYS_sendfile, out, fd, at, n)
READ(sendfile64, (int out, int fd, off64_t *at, size_t n), SYS_sendfile, out, fd, at, n)

int fsync(int fd)
{
	GUARDED(due_fd(FAULT_SYNC, fd), syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
	GUARDED(due_fd(FAULT_SYNC, fd), syscall(SYS_fdatasync, fd));
}

int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
	GUARDED(due_fd(FAULT_SYNC, fd), syscall(SYS_sync_file_range, fd, at, n, flags));
}

int ftruncate(int fd, off_t n)
{
	GUARDED(due_fd(FAULT_TRUNCATE, fd), syscall(SYS_ftruncate, fd, n));
}

int ftruncate64(int fd, off64_t n)
{
	GUARDED(due_fd(FAULT_TRUNCATE, fd), syscall(SYS_ftruncate, fd, n));
}

int truncate(const char *path, off_t n)
{
	GUARDED(due_at(FAULT_TRUNCATE, AT_FDCWD, path), syscall(SYS_truncate, path, n));
}

int truncate64(const char *path, off64_t n)
{
	GUARDED(due_at(FAULT_TRUNCATE, AT_FDCWD, path), syscall(SYS_truncate, path, n));
}

int rename(const char *from, const char *to)
{
	GUARDED(due_at(FAULT_RENAME, AT_FDCWD, to), syscall(SYS_rename, from, to));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	GUARDED(due_at(FAULT_RENAME, to_dir, to),
		syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	GUARDED(due_at(FAULT_RENAME, to_dir, to),
		syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int unlink(const char *path)
{
	GUARDED(due_at(FAULT_UNLINK, AT_FDCWD, path), syscall(SYS_unlink, path));
}

int unlinkat(int dir, const char *path, int flags)
{
	GUARDED(due_at(FAULT_UNLINK, dir, path), syscall(SYS_unlinkat, dir, path, flags));
}

int rmdir(const char *path)
{
	GUARDED(due_at(FAULT_UNLINK, AT_FDCWD, path), syscall(SYS_rmdir, path));
}

int remove(const char *path)
{
	struct stat s;
	bool is_dir = lstat(path, &s) == 0 && S_ISDIR(s.st_mode);
	return is_dir ? rmdir(path) : unlink(path);
}

int link(const char *from, const char *to)
{
	GUARDED(due_at(FAULT_LINK, AT_FDCWD, to), syscall(SYS_link, from, to));
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	GUARDED(due_at(FAULT_LINK, to_dir, to),
		syscall(SYS_linkat, from_dir, from, to_dir, to, flags));
}

int mkdir(const char *path, mode_t mode)
{
	GUARDED(due_at(FAULT_MKDIR, AT_FDCWD, path), syscall(SYS_mkdir, path, mode));
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	GUARDED(due_at(FAULT_MKDIR, dir, path), syscall(SYS_mkdirat, dir, path, mode));
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
	GUARDED(due_fd(FAULT_ALLOCATE, fd), syscall(SYS_fallocate, fd, mode, at, n));
}

int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
	GUARDED(due_fd(FAULT_ALLOCATE, fd), syscall(SYS_fallocate, fd, mode, at, n));
}

/* These give the error and leave errno alone. */
static int posix_allocate(int fd, off_t at, off_t n)
{
	int saved = errno;
	int error = fallocate(fd, 0, at, n) == 0 ? 0 : errno;
	errno = saved;
	return error;
}

int posix_fallocate(int fd, off_t at, off_t n)
{
	return posix_allocate(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n)
{
	return posix_allocate(fd, at, n);
}

/* ---- allocations ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

/* True if this allocation fails. */
static bool out_of_memory(void)
{
	if (control == NULL || control->alloc_at == 0)
		return false;
	uint64_t number = __atomic_add_fetch(&control->allocs, 1, __ATOMIC_SEQ_CST);
	uint64_t at = control->alloc_at;
	if (number < at || number - at >= (control->alloc_n ? control->alloc_n : 1))
		return false;
	control->fired++;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return out_of_memory() ? NULL : __libc_malloc(n);
}

void *calloc(size_t count, size_t size)
{
	return out_of_memory() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *p, size_t n)
{
	return n > 0 && out_of_memory() ? NULL : __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t count, size_t size)
{
	size_t n;
	if (__builtin_mul_overflow(count, size, &n)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return out_of_memory() ? NULL : __libc_memalign(align, n);
}

void *memalign(size_t align, size_t n)
{
	return out_of_memory() ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
	int saved = errno;
	void *p = out_of_memory() ? NULL : __libc_memalign(align, n);
	errno = saved;
	if (p == NULL)
		return ENOMEM;
	*out = p;
	return 0;
}
