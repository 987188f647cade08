package collection
import ("testing";"runtime";"syscall";"strings";"fmt")
func cpu() int64 { var r syscall.Rusage; syscall.Getrusage(syscall.RUSAGE_SELF,&r); return r.Utime.Nano()+r.Stime.Nano() }
func TestZ(t *testing.T){ runtime.LockOSThread()
 for n,b:=range map[string]string{"messages":`{"content":"`+strings.Repeat("x",60)+`"}`,"todos":`{"text":"buy milk and bread"}`} {
  c:=builtin(t,n); body:=[]byte(b); best:=int64(1<<60)
  v:=decoded(t,body); bestV:=best; bestR:=best
  for range 30 { const N=20000
   s:=cpu(); for range N { c.Record("body",body) }; best=min(best,(cpu()-s)/N)
   s=cpu(); for range N { c.rules.root.Validate(v) }; bestV=min(bestV,(cpu()-s)/N)
   s=cpu(); for range N { r:=open(body,c.rules.names); r.record(c.rules.shape); r.close() }; bestR=min(bestR,(cpu()-s)/N)
  }
  fmt.Println(n,"record",best,"validate",bestV,"read",bestR)
 }
}
