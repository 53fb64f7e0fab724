import sys,time; sys.path.insert(0,"/work/main")
import torch; torch.set_num_threads(int(sys.argv[1]))
from models.estimate import estimate
g=torch.Generator().manual_seed(0)
n,d=1000,768
z=torch.randn(n,300,generator=g,dtype=torch.float64)*torch.logspace(0,-1.5,300,dtype=torch.float64)
x=z@torch.randn(300,d,generator=g,dtype=torch.float64)+.3*torch.randn(n,d,generator=g,dtype=torch.float64)
y=z@torch.randn(300,d,generator=g,dtype=torch.float64)+.3*torch.randn(n,d,generator=g,dtype=torch.float64)
t=time.time();c=time.process_time()
r=estimate(x,y,objective=sys.argv[2],budget=600)
print(sys.argv,"wall %.1f cpu %.1f"%(time.time()-t,time.process_time()-c),r.report.method,r.report.parameters,len(r.report.candidates),r.report.dropped)
