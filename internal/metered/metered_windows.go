package metered

import (
	"context"
	"errors"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A costManager is INetworkCostManager (netlistmgr.h): a pointer to the table of
// its functions. It lies in memory of COM, not of Go.
type costManager struct{ functions *costFunctions }

type costFunctions struct {
	_       [2]uintptr // QueryInterface, AddRef
	release uintptr
	getCost uintptr // and more that is not needed
}

// anyServer is CLSCTX_ALL: where the object lives is Windows' affair.
const anyServer = windows.CLSCTX_INPROC_SERVER | windows.CLSCTX_INPROC_HANDLER | windows.CLSCTX_LOCAL_SERVER | windows.CLSCTX_REMOTE_SERVER

// ask asks in a goroutine: COM obeys no context, and belongs to one thread.
func ask(ctx context.Context, _ string) (metered, known bool) {
	said := make(chan answer, 1)
	go func() { said <- cost() }()
	select {
	case a := <-said:
		return a.metered, a.known
	case <-ctx.Done():
		return false, false
	}
}

// cost asks for the cost of the connection that leads to the internet.
func cost() answer {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// That it was done on this thread already (S_FALSE) comes as an error as well,
	// and is to be undone too.
	err := windows.CoInitializeEx(0, windows.COINIT_MULTITHREADED)
	if err != nil && !errors.Is(err, syscall.Errno(windows.S_FALSE)) {
		return answer{}
	}
	defer windows.CoUninitialize()

	class := windows.GUID{Data1: 0xdcb00c01, Data2: 0x570f, Data3: 0x4a9b, Data4: [8]byte{0x8d, 0x69, 0x19, 0x9f, 0xdb, 0xa5, 0x72, 0x3b}}
	face := windows.GUID{Data1: 0xdcb00008, Data2: 0x570f, Data3: 0x4a9b, Data4: [8]byte{0x8d, 0x69, 0x19, 0x9f, 0xdb, 0xa5, 0x72, 0x3b}}
	create := windows.NewLazySystemDLL("ole32.dll").NewProc("CoCreateInstance")
	if create.Find() != nil {
		return answer{}
	}
	var manager *costManager
	result, _, _ := create.Call(uintptr(unsafe.Pointer(&class)), 0, anyServer, uintptr(unsafe.Pointer(&face)), uintptr(unsafe.Pointer(&manager)))
	if int32(result) < 0 || manager == nil {
		return answer{}
	}
	defer func() { _, _, _ = syscall.SyscallN(manager.functions.release, uintptr(unsafe.Pointer(manager))) }()
	var flags uint32
	result, _, _ = syscall.SyscallN(manager.functions.getCost, uintptr(unsafe.Pointer(manager)), uintptr(unsafe.Pointer(&flags)), 0)
	if int32(result) < 0 {
		return answer{}
	}
	return judge(flags)
}
