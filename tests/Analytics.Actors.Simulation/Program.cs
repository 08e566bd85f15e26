using System.Globalization;
using Analytics.Actors.Simulation;

var seeds = 200; var first = 1;
for (var i=0;i<args.Length;i++){ if(args[i]=="--seeds") seeds=int.Parse(args[i+1]); if(args[i]=="--seed") first=int.Parse(args[i+1]);}
var fails=0;
Parallel.For(first, first+seeds, new ParallelOptions{MaxDegreeOfParallelism=2}, seed => {
  var r = Simulator.Run(seed, PlantedBug.None, null);
  if (r.Verdict!=Verdict.Right) { Interlocked.Increment(ref fails); lock(args) { Console.WriteLine($"seed {seed} {r.Verdict}: "+string.Join("\n      ", r.Findings.Take(4).Select(f=>f.Text.Length>600?f.Text[..600]:f.Text))); } }
});
Console.WriteLine($"{fails} of {seeds} fail");
if (seeds==1) { var r=Simulator.Run(first, PlantedBug.None, null, true); foreach (var l in r.History) Console.WriteLine(l); Console.WriteLine(Scenario.Describe(r.Scenario)+"; "+Scenario.Describe(r.Faults)+$" {r.TraceHash:x}"); foreach(var f in r.Findings) Console.WriteLine("FINDING "+f.Text+" :: "+string.Join(",",f.Concerns)); }
return 0;
