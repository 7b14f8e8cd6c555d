package source

// A Default is a rule that holds unless the user takes it back, with its reason
// for the screen.
type Default struct {
	Pattern string
	Reason  string
}

// Reasons of the defaults. They are keys of the translation catalogue too.
const (
	reasonCache   = "caches: programs make them again"
	reasonBrowser = "browser caches: the browser makes them again"
	reasonTrash   = "trash: you have thrown it away"
	reasonTemp    = "temporary files: no use after the program ends"
	reasonSystem  = "the system's own files: they belong to this installation"
	reasonSwap    = "swap and hibernation: the memory of this computer"
	reasonBuild   = "downloaded or built parts of programs: made again from their sources"
	reasonIndex   = "indexes and thumbnails: made again from your files"
)

// everywhere holds on all systems: an external disk carries the traces of each.
var everywhere = []Default{
	{".cache/", reasonCache},
	{"*.tmp", reasonTemp},
	{"*.temp", reasonTemp},
	{"~$*", reasonTemp},
	{".~lock.*#", reasonTemp},
	{"*.crdownload", reasonTemp},
	{".coffer-restore-*", reasonTemp},
	{"node_modules/", reasonBuild},
	{"__pycache__/", reasonBuild},
	{".Trash/", reasonTrash},
	{".Trashes/", reasonTrash},
	{".Trash-*/", reasonTrash},
	{"$RECYCLE.BIN/", reasonTrash},
	{"System Volume Information/", reasonSystem},
	{".Spotlight-V100/", reasonIndex},
	{".fseventsd/", reasonSystem},
	{".DocumentRevisions-V100/", reasonSystem},
	{".TemporaryItems/", reasonTemp},
	{".DS_Store", reasonIndex},
	{"Thumbs.db", reasonIndex},
	{"lost+found/", reasonSystem},
}

var linuxDefaults = []Default{
	{".local/share/Trash/", reasonTrash},
	{".thumbnails/", reasonIndex},
	{".var/app/*/cache/", reasonCache},
	{"snap/*/*/.cache/", reasonCache},
	{".mozilla/firefox/*/cache2/", reasonBrowser},
	{".config/**/Cache/", reasonBrowser},
	{".config/**/Code Cache/", reasonBrowser},
	{".config/**/GPUCache/", reasonBrowser},
	{".config/**/CacheStorage/", reasonBrowser},
	{".local/share/baloo/", reasonIndex},
	{".local/share/gvfs-metadata/", reasonIndex},
	{".gvfs/", reasonSystem},
	{".xsession-errors*", reasonTemp},
	{"/tmp/", reasonTemp},
	{"/var/tmp/", reasonTemp},
	{"/var/cache/", reasonCache},
	{"/proc/", reasonSystem},
	{"/sys/", reasonSystem},
	{"/dev/", reasonSystem},
	{"/run/", reasonSystem},
	{"/swapfile", reasonSwap},
	{"/swap.img", reasonSwap},
}

var darwinDefaults = []Default{
	{"Library/Caches/", reasonCache},
	{"Library/Logs/", reasonTemp},
	{"Library/Saved Application State/", reasonTemp},
	{"Library/Application Support/**/Cache/", reasonBrowser},
	{"Library/Application Support/**/Code Cache/", reasonBrowser},
	{"Library/Application Support/**/GPUCache/", reasonBrowser},
	{"Library/Containers/*/Data/Library/Caches/", reasonCache},
	{"Library/Metadata/CoreSpotlight/", reasonIndex},
	{".DocumentRevisions-V100*/", reasonSystem},
	{".PKInstallSandboxManager*/", reasonSystem},
	{"/private/var/vm/", reasonSwap},
	{"/private/var/folders/", reasonTemp},
	{"/private/tmp/", reasonTemp},
	{"/System/", reasonSystem},
	{"/dev/", reasonSystem},
	{"/cores/", reasonTemp},
}

var windowsDefaults = []Default{
	{"AppData/Local/Temp/", reasonTemp},
	{"AppData/LocalLow/Temp/", reasonTemp},
	{"AppData/Local/Microsoft/Windows/INetCache/", reasonBrowser},
	{"AppData/Local/Microsoft/Windows/Explorer/", reasonIndex},
	{"AppData/Local/Microsoft/Windows/WebCache/", reasonBrowser},
	{"AppData/Local/**/Cache/", reasonBrowser},
	{"AppData/Local/**/Code Cache/", reasonBrowser},
	{"AppData/Local/**/GPUCache/", reasonBrowser},
	{"AppData/Local/Mozilla/Firefox/Profiles/*/cache2/", reasonBrowser},
	{"AppData/Roaming/**/Cache/", reasonBrowser},
	{"AppData/Roaming/**/Code Cache/", reasonBrowser},
	{"AppData/Local/Packages/*/AC/INetCache/", reasonBrowser},
	{"AppData/Local/Packages/*/TempState/", reasonTemp},
	{"/?:/pagefile.sys", reasonSwap},
	{"/?:/swapfile.sys", reasonSwap},
	{"/?:/hiberfil.sys", reasonSwap},
	{"/?:/$WinREAgent/", reasonSystem},
	{"/?:/Windows/Temp/", reasonTemp},
	{"ntuser.dat.LOG*", reasonSystem},
}

// DefaultRules returns what is left out on the system goos (a value of
// runtime.GOOS) unless the user says otherwise: [ParseRules] takes their
// patterns, followed by the user's lines, which win. Folders with a CACHEDIR.TAG
// are for [IsCacheDir].
func DefaultRules(goos string) []Default {
	own := linuxDefaults
	switch goos {
	case "darwin":
		own = darwinDefaults
	case "windows":
		own = windowsDefaults
	}
	return append(append([]Default{}, everywhere...), own...)
}
