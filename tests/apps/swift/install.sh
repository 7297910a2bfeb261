#!/usr/bin/env bash
# Puts Debian 13's Swift 6.0 into FOLDER on a Debian that has none, and writes FOLDER/bin/swift and FOLDER/bin/swiftc.
#
#   tests/apps/swift/install.sh FOLDER && PATH=FOLDER/bin:$PATH make test-apps
#
# The compiler needs a newer C library than Debian 12's, so the packages are unpacked into FOLDER/system, which the two
# commands enter by chroot, in a mount namespace of their own, with the machine's other folders where they were: by root, or
# by anyone where the machine allows user namespaces. About 590 MB are fetched, from where this machine's apt fetches Debian;
# 1.4 GB stay, without the debugger, the editor's server, static libraries and what embedded systems need.
set -euo pipefail
stop() { echo "install.sh: $1" >&2; exit 1; }
command -v apt-get dpkg-deb > /dev/null || stop "this machine has no apt-get and dpkg-deb; take Swift 6 from swift.org"
as_root=$([[ $EUID == 0 ]] || echo --map-root-user)
unshare --mount $as_root true 2> /dev/null || stop "unshare --mount${as_root:+ $as_root} is not allowed here; run it as root"
mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial" "$1/system/usr" "$1/bin"
folder=$(cd "$1" && pwd)
mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' | sed -n 's/ Debian$//p' | grep -v security | head -1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$folder/apt/sources.list"
: > "$folder/apt/status"
cat > "$folder/apt/apt.conf" <<CONF
Dir::State::lists "$folder/apt/lists";
Dir::State::status "$folder/apt/status";
Dir::Cache::archives "$folder/apt/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "$folder/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Install-Recommends "false";
CONF
export APT_CONFIG="$folder/apt/apt.conf"
apt-get update -qq
apt-get install -qq -y --download-only swiftlang swiftlang-dev bash coreutils g++ libc6-dev ca-certificates > /dev/null
for name in bin sbin lib lib64; do
  mkdir -p "$folder/system/usr/$name"
  ln -sfn "usr/$name" "$folder/system/$name"
done
unused=(clangd docc embedded 'liblldb*' 'libsourcekitd*' 'lldb*' sourcekit-lsp swift_static usr/share/doc usr/share/locale)
for package in "$folder"/apt/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" \
    | tar -x -C "$folder/system" --keep-directory-symlink --no-same-owner "${unused[@]/#/--exclude=}"
  rm "$package"
done
rm -rf "$folder/apt"
cat > "$folder/bin/swiftc" <<WRAPPER
#!/usr/bin/env bash
exec unshare --mount \$([[ \$EUID == 0 ]] || echo --map-root-user) bash -c '
  root=\$1; shift
  for place in /*; do
    case \$place in /usr|/bin|/sbin|/lib*|/etc|/var) continue ;; esac
    [[ -d \$place ]] && mkdir -p "\$root\$place" && mount --rbind "\$place" "\$root\$place"
  done
  exec chroot "\$root" env PATH=/usr/libexec/swift/bin:/usr/bin:/bin LANG=C.UTF-8 bash -c "cd \"\\\$1\" && shift && exec \"\\\$@\"" - "\$PWD" "\$@"
' - "$folder/system" "\$(basename "\$0")" "\$@"
WRAPPER
chmod +x "$folder/bin/swiftc"
ln -sfn swiftc "$folder/bin/swift"
"$folder/bin/swiftc" --version
