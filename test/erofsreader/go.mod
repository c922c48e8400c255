// A module of its own for a reader of EROFS that is not ours: tests compare with
// it, and nothing that is released needs it.
module example.com/erofsreader

go 1.26.0

require github.com/erofs/go-erofs v0.3.1
