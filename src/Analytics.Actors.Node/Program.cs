// The executable: every verb, in a process whose native heap is bounded before it has threads of its own.
using Analytics.Actors.Node.Cli;
using Analytics.Actors.Node.Hosting;

NativeHeap.Bound();
return await Verbs.RunAsync(args).ConfigureAwait(false);
