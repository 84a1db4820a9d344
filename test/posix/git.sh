#!/bin/bash
# Runs Debian's git on a repository of some 2,000 files, and tar, diff and rsync on the work tree.
#   git.sh memory|mirror-auto|mirror-on|mirror-off|native
# DIRECTORIES of 51 files each (default 40).
# Names, contents and dates are always the same, so the ids of the commits must be, too.
. "$(dirname "$0")/serve.sh"
. "$here/cases.sh"
filesystem=${1:?the filesystem is missing}
need git=git tar=tar diff=diffutils rsync=rsync awk=mawk
mount_filesystem "$filesystem"
mkdir "$mnt/git"
export HOME=$work GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$work/gitconfig TZ=UTC LC_ALL=C place=$mnt/git directories=${DIRECTORIES:-40}
export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
git config --file "$work/gitconfig" user.name Test
git config --file "$work/gitconfig" user.email test@example.org
git config --file "$work/gitconfig" init.defaultBranch main
git config --file "$work/gitconfig" gc.auto 0
git config --file "$work/gitconfig" advice.detachedHead false

# A case whose earlier one failed fails as well. No `&&` in them: what fails on its left does not end a script of `set -e`.
git_case() { expect "${T:-300}" "$1" bash -euc -o pipefail "cd \"\$place\"; $2"; }

git_case init 'git init -q origin'
git_case commit '
  cd origin
  for d in $(seq $directories); do mkdir -p d$d/sub; done
  awk -v directories=$directories "BEGIN {
    for (d = 1; d <= directories; d++) for (f = 1; f <= 25; f++) {
      name = \"d\" d \"/f\" f
      for (line = d * f; line <= d * f + 200; line++) print line > name
      close(name)
      name = \"d\" d \"/sub/name with spaces \" f
      printf \"%05000d\", d * 31 + f > name
      close(name)
    }
  }"
  for d in d*; do ln -s f1 "$d/link"; done
  chmod +x d*/f2
  git add .
  git commit -qm one
  git rev-parse HEAD >&3'
git_case clone '
  git clone -q --no-hardlinks origin clone
  diff -r --no-dereference --exclude=.git origin clone
  test -z "$(git -C clone status --porcelain)"
  git -C clone ls-files | wc -l >&3'
git_case clone-hardlinks '
  git clone -q origin linked
  git -C linked fsck --strict --full
  git -C linked rev-parse HEAD >&3'
git_case branch-and-merge '
  cd clone
  git checkout -qb work
  git mv d1 moved
  sed -i s/7/seven/ d2/f*
  git commit -qam two
  git checkout -q main
  seq 1000 > new
  git add new
  git commit -qm three
  git merge -q --no-ff -m merge work
  git rev-parse HEAD >&3
  test -z "$(git status --porcelain)"'
git_case rebase '
  cd clone
  git checkout -qb topic HEAD~1
  echo topic > topic
  git add topic
  git commit -qm topic
  git rebase -q main
  git rev-parse HEAD >&3
  git checkout -q main
  test ! -e topic'
git_case stash '
  cd clone
  echo more >> new
  git stash -q
  git diff --exit-code
  git stash pop -q
  test "$(tail -1 new)" = more
  git checkout -q new'
git_case gc 'cd clone; git gc -q --prune=now; git count-objects -v | grep -E "^(count|in-pack)" >&3'
git_case fsck 'cd clone; git fsck --strict --full; git log --oneline | wc -l >&3'
git_case worktree '
  cd clone
  git worktree add -q ../tree HEAD
  test -z "$(git -C ../tree status --porcelain)"
  diff -r --no-dereference --exclude=.git . ../tree
  git worktree remove ../tree
  test ! -e ../tree'
git_case fetch-and-push '
  git init -q --bare bare
  git -C clone push -q ../bare main
  git -C bare rev-parse main >&3
  git -C linked fetch -q ../bare main
  git -C linked merge -q --ff-only FETCH_HEAD
  test -d linked/moved'
git_case archive 'cd clone; git archive --format=tar HEAD | sha256sum >&3'
git_case clean '
  cd clone
  mkdir -p junk/deep
  touch junk/deep/file
  git clean -qfd
  test ! -e junk'
git_case tar '
  tar -C clone -cf clone.tar .
  mkdir unpacked
  tar -C unpacked -xpf clone.tar
  tar -C unpacked -df clone.tar
  find unpacked/d2 | wc -l >&3'
git_case diff 'diff -r --no-dereference clone unpacked'
git_case status-of-copy 'cd unpacked; test -z "$(git status --porcelain)"; git fsck --full'
git_case rsync '
  rsync -aHAX --delete clone/ synced/
  test -z "$(rsync -aHAXcn --delete --itemize-changes clone/ synced/)"'
git_case removal 'rm -r origin clone linked bare unpacked synced clone.tar; test -z "$(ls -A)"'
finish git "$filesystem"
