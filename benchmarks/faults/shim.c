/* Counts what a process does to the files below one folder, and breaks one of these operations.

   Loaded by LD_PRELOAD, so that writers that are not Python's (safetensors, torch, pyarrow, Pillow) are
   seen too. Nothing happens until `faults_arm`, and nothing in processes forked or started after that.
   Every counted operation is a line of the log: number, call, path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { COUNT, KILL_BEFORE, KILL_AFTER, TEAR, POWER_CUT, NO_SPACE, NO_PERMISSION, CLOCK };
enum { OPEN, WRITE, SYNC, MOVE, REMOVE, MAKE, CUT, MARK }; /* kinds of operations */

#define DESCRIPTORS 4096
#define FILES 4096

static pid_t owner;
static int action, log_to = -1;
static long number, target;
static char prefix[PATH_MAX];
static size_t prefix_length;
static char *opened[DESCRIPTORS]; /* paths of the descriptors that may write below the prefix */

/* Files with bytes that no fsync has reached: a power cut takes these back. */
static struct { dev_t device; ino_t inode; off_t safe; int dirty; char path[PATH_MAX]; } files[FILES];
static int file_count;

void faults_arm(const char *folder, const char *log, int what, long at) {
  snprintf(prefix, sizeof prefix, "%s/", folder);
  prefix_length = strlen(prefix);
  log_to = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  action = what;
  target = at;
  number = 0;
  owner = getpid();
}

static int armed(void) { return owner && owner == getpid(); }

static int below(int at, const char *path, char *whole) {
  char base[PATH_MAX] = "";
  if (!armed() || !path) return 0;
  if (path[0] != '/') {
    char link[64];
    ssize_t n;
    if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    if ((n = readlink(link, base, sizeof base - 2)) < 0) return 0;
    base[n] = '/';
    base[n + 1] = 0;
  }
  if (snprintf(whole, PATH_MAX, "%s%s", base, path) >= PATH_MAX) return 0;
  return !strncmp(whole, prefix, prefix_length);
}

static int file_of(const struct stat *s) {
  for (int i = 0; i < file_count; i++)
    if (files[i].device == s->st_dev && files[i].inode == s->st_ino) return i;
  return -1;
}

static void wrote(int fd, off_t before) {
  struct stat s;
  if (fstat(fd, &s)) return;
  int i = file_of(&s);
  if (i < 0 && file_count < FILES) {
    i = file_count++;
    files[i].device = s.st_dev;
    files[i].inode = s.st_ino;
    files[i].safe = before;
  }
  if (i < 0) return;
  files[i].dirty = 1;
  snprintf(files[i].path, PATH_MAX, "%s", opened[fd]);
}

static void synced(int fd) {
  struct stat s;
  if (fstat(fd, &s)) return;
  int i = file_of(&s);
  if (i >= 0) {
    files[i].dirty = 0;
    files[i].safe = s.st_size;
  }
}

static void moved(const char *from, const char *to) {
  for (int i = 0; i < file_count; i++) {
    size_t n = strlen(from);
    if (strncmp(files[i].path, from, n) || (files[i].path[n] && files[i].path[n] != '/')) continue;
    char rest[PATH_MAX];
    snprintf(rest, sizeof rest, "%s", files[i].path + n);
    if (snprintf(files[i].path, PATH_MAX, "%s%s", to, rest) >= PATH_MAX) abort();
  }
}

static void forget(const char *path) { /* its inode may be used again */
  struct stat s;
  if (lstat(path, &s) || s.st_nlink > 1) return;
  int i = file_of(&s);
  if (i >= 0) files[i] = files[--file_count];
}

static void die(void) {
  if (action == POWER_CUT)
    for (int i = 0; i < file_count; i++)
      if (files[i].dirty) syscall(SYS_truncate, files[i].path, files[i].safe);
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

/* Counts one operation. 1: it fails, errno says how. */
static int begins(int kind) {
  long mine = __sync_add_and_fetch(&number, 1);
  if (action == KILL_BEFORE && mine == target) die();
  if (mine >= target) {
    if (action == NO_SPACE && (kind == OPEN || kind == WRITE || kind == SYNC || kind == MAKE)) {
      errno = ENOSPC;
      return 1;
    }
    if (action == NO_PERMISSION && kind != WRITE && kind != SYNC && kind != CUT) {
      errno = EACCES;
      return 1;
    }
  }
  return 0;
}

enum { FAILED, SAME, CHANGED }; /* what an operation made of the files */

/* Logs it. */
static void ends(const char *call, const char *path, int made) {
  int saved = errno;
  char line[PATH_MAX + 64];
  int n = snprintf(line, sizeof line, "%ld\t%s\t%d\t%s\n", number, call, made, path);
  if (syscall(SYS_write, log_to, line, n) != n) abort();
  if ((action == KILL_AFTER || action == TEAR || action == POWER_CUT) && number >= target) die();
  errno = saved;
}

static int torn(void) { return action == TEAR && number == target; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *path_of(int fd) {
  return armed() && fd >= 0 && fd < DESCRIPTORS ? opened[fd] : NULL;
}

static void remember(int fd, const char *path) {
  if (fd >= 0 && fd < DESCRIPTORS) {
    free(opened[fd]);
    opened[fd] = path ? strdup(path) : NULL;
  }
}

static int opening(int at, const char *path, int flags, mode_t mode) {
  char whole[PATH_MAX];
  int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
  if (!armed() || !writes || !below(at, path, whole)) {
    int fd = syscall(SYS_openat, at, path, flags, mode);
    if (armed()) remember(fd, NULL);
    return fd;
  }
  if (begins(OPEN)) return -1;
  int there = !syscall(SYS_faccessat, at, path, F_OK);
  int fd = syscall(SYS_openat, at, path, flags, mode);
  remember(fd, whole);
  if (fd >= 0 && flags & O_TRUNC) wrote(fd, 0);
  ends("open", whole, fd < 0 ? FAILED : there && !(flags & O_TRUNC) ? SAME : CHANGED);
  return fd;
}

#define MODE(flags) \
  mode_t mode = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open(const char *path, int flags, ...) { MODE(flags) return opening(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opening(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opening(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opening(at, path, flags, mode); }
int creat(const char *path, mode_t mode) {
  return opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

static FILE *streaming(const char *path, const char *how, FILE *(*real)(const char *, const char *)) {
  char whole[PATH_MAX];
  if (!strpbrk(how, "wa+") || !below(AT_FDCWD, path, whole)) return real(path, how);
  if (begins(OPEN)) return NULL;
  FILE *stream = real(path, how);
  if (stream) remember(fileno(stream), whole);
  ends("fopen", whole, stream ? CHANGED : FAILED);
  return stream;
}
FILE *fopen(const char *path, const char *how) { return streaming(path, how, REAL(fopen)); }
FILE *fopen64(const char *path, const char *how) { return streaming(path, how, REAL(fopen64)); }

int close(int fd) {
  if (armed()) remember(fd, NULL);
  return syscall(SYS_close, fd);
}

/* `bytes`: how many, so that a torn write does half of them. */
#define WRITING(fd, call, whole_write, half_write) \
  const char *path = path_of(fd); \
  if (!path) return whole_write; \
  struct stat s; \
  off_t before = fstat(fd, &s) ? 0 : s.st_size; \
  if (begins(WRITE)) return -1; \
  ssize_t done = torn() ? half_write : whole_write; \
  wrote(fd, before); \
  ends(call, path, done > 0 ? CHANGED : SAME); \
  return done;

ssize_t write(int fd, const void *from, size_t n) {
  WRITING(fd, "write", syscall(SYS_write, fd, from, n), syscall(SYS_write, fd, from, n / 2))
}
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
  WRITING(fd, "pwrite", syscall(SYS_pwrite64, fd, from, n, at), syscall(SYS_pwrite64, fd, from, n / 2, at))
}
ssize_t pwrite64(int fd, const void *from, size_t n, off_t at) { return pwrite(fd, from, n, at); }
ssize_t writev(int fd, const struct iovec *parts, int n) {
  WRITING(fd, "writev", syscall(SYS_writev, fd, parts, n), syscall(SYS_writev, fd, parts, n / 2))
}
ssize_t sendfile(int fd, int from, off_t *at, size_t n) {
  WRITING(fd, "sendfile", syscall(SYS_sendfile, fd, from, at, n), syscall(SYS_sendfile, fd, from, at, n > 65536 ? 32768 : n / 2))
}
ssize_t sendfile64(int fd, int from, off_t *at, size_t n) { return sendfile(fd, from, at, n); }
ssize_t copy_file_range(int from, off_t *a, int fd, off_t *b, size_t n, unsigned flags) {
  WRITING(fd, "copy_file_range", syscall(SYS_copy_file_range, from, a, fd, b, n, flags),
          syscall(SYS_copy_file_range, from, a, fd, b, n > 65536 ? 32768 : n / 2, flags))
}

static int syncing(int fd, const char *call, long code) {
  const char *path = path_of(fd);
  char link[64], whole[PATH_MAX];
  if (!path && armed()) { /* a folder, or a file that was opened to be read */
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, whole, sizeof whole - 1);
    if (n > 0) {
      whole[n] = 0;
      if (!strncmp(whole, prefix, prefix_length)) path = whole;
    }
  }
  if (!path) return syscall(code, fd);
  if (begins(SYNC)) return -1;
  int done = syscall(code, fd);
  synced(fd);
  ends(call, path, SAME);
  return done;
}
int fsync(int fd) { return syncing(fd, "fsync", SYS_fsync); }
int fdatasync(int fd) { return syncing(fd, "fdatasync", SYS_fdatasync); }

int ftruncate(int fd, off_t n) {
  const char *path = path_of(fd);
  if (!path) return syscall(SYS_ftruncate, fd, n);
  if (begins(CUT)) return -1;
  int done = syscall(SYS_ftruncate, fd, n);
  ends("ftruncate", path, CHANGED);
  return done;
}
int ftruncate64(int fd, off_t n) { return ftruncate(fd, n); }
int truncate(const char *path, off_t n) {
  char whole[PATH_MAX];
  if (!below(AT_FDCWD, path, whole)) return syscall(SYS_truncate, path, n);
  if (begins(CUT)) return -1;
  int done = syscall(SYS_truncate, path, n);
  ends("truncate", whole, CHANGED);
  return done;
}
int truncate64(const char *path, off_t n) { return truncate(path, n); }

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  char here[PATH_MAX], there[PATH_MAX];
  int leaves = below(a, from, here), comes = below(b, to, there);
  if (!leaves && !comes) return syscall(SYS_renameat2, a, from, b, to, flags);
  if (begins(MOVE)) return -1;
  forget(there);
  int done = syscall(SYS_renameat2, a, from, b, to, flags);
  if (!done) moved(here, there);
  ends("rename", there, done ? FAILED : CHANGED);
  return done;
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return renameat2(a, from, b, to, 0); }

int unlinkat(int at, const char *path, int flags) {
  char whole[PATH_MAX];
  if (!below(at, path, whole)) return syscall(SYS_unlinkat, at, path, flags);
  if (begins(REMOVE)) return -1;
  forget(whole);
  int done = syscall(SYS_unlinkat, at, path, flags);
  ends(flags & AT_REMOVEDIR ? "rmdir" : "unlink", whole, done ? FAILED : CHANGED);
  return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *path, mode_t mode) {
  char whole[PATH_MAX];
  if (!below(at, path, whole)) return syscall(SYS_mkdirat, at, path, mode);
  if (begins(MAKE)) return -1;
  int done = syscall(SYS_mkdirat, at, path, mode);
  ends("mkdir", whole, done ? FAILED : CHANGED);
  return done;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

#define MARKING(name, at, path, real) \
  char whole[PATH_MAX]; \
  if (!below(at, path, whole)) return real; \
  if (begins(MARK)) return -1; \
  int done = real; \
  ends(name, whole, done ? FAILED : SAME); \
  return done;

int fchmodat(int at, const char *path, mode_t mode, int flags) {
  (void)flags;
  MARKING("chmod", at, path, syscall(SYS_fchmodat, at, path, mode))
}
int chmod(const char *path, mode_t mode) { return fchmodat(AT_FDCWD, path, mode, 0); }
int utimensat(int at, const char *path, const struct timespec times[2], int flags) {
  MARKING("utime", at, path, syscall(SYS_utimensat, at, path, times, flags))
}

/* From the target on the clock jumps back and forth by a day, at every look. */
int clock_gettime(clockid_t clock, struct timespec *now) {
  static long looks;
  int done = syscall(SYS_clock_gettime, clock, now);
  if (armed() && action == CLOCK && number >= target && clock == CLOCK_REALTIME)
    now->tv_sec += ++looks % 2 ? -86400 : 86400;
  return done;
}
