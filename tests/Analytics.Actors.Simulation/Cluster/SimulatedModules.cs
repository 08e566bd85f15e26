using System.Text;
using System.Text.Json;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Modules whose result tells what their input held; and that throw, answer nothing, answer after their time, hang, or take
/// the process down, always with the same input.
/// </summary>
public sealed class SimulatedModules(Cluster cluster)
{
    /// <summary>What the value of a record begins with whose call kills the process.</summary>
    public const string Poison = "kill";

    private World World => cluster.World;

    public void Call(SimulatedProcess process, ModuleCall call)
    {
        var faults = cluster.Faults;
        var saw = Saw(call);
        cluster.Checkers.CallBegins(process, call);
        if (call.Module.Name == Workload.First && saw.Contains($"\"{Poison}", StringComparison.Ordinal))
        {
            World.After(World.Between(1, 40), () => process.Reach(() =>
            {
                World.Note($"{process.Name}: the call of {call.Module.Name} for {call.Input.Station}, attempt {call.Id.Attempt}, kills the process");
                cluster.Checkers.Killed(call.Input.Station, call.Id.Trigger);
                process.Crash();
            }));
            return;
        }

        World.Tell(() => $"{process.Name} shard {call.Id.Shard}: {call.Module.Name} of {call.Input.Station} is called, trigger {call.Id.Trigger}, attempt {call.Id.Attempt}: {saw}");
        var result = ResultOf(call);
        if (World.Chance(faults.CallHangs)) AnswerAfterItsTime(process, call, World.Between(2_000, 25_000));
        else if (World.Chance(faults.CallLate)) AnswerAfterItsTime(process, call, World.Between(1, 2_000));
        else if (World.Chance(faults.CallFails)) Answer(process, call, new CallOutcome(CallOutcomeKind.Error, default, "simulated"));
        else if (World.Chance(faults.CallSaysNothing)) Answer(process, call, new CallOutcome(CallOutcomeKind.Nothing, default, ""));
        else Answer(process, call, result);
    }

    /// <summary>What the module makes of this input, always.</summary>
    public static CallOutcome ResultOf(ModuleCall call) =>
        new(CallOutcomeKind.Result, JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { [call.Module.Name + "_saw"] = Saw(call) }), "");

    private void Answer(SimulatedProcess process, ModuleCall call, CallOutcome outcome) =>
        World.After(World.Chance(cluster.Faults.CallSlow) ? World.Between(100, 3_000) : World.Between(1, 40), () =>
        {
            cluster.Checkers.CallEnds(process, call);
            process.Tell(new CallReturned(call.Id, outcome, true));
        });

    private void AnswerAfterItsTime(SimulatedProcess process, ModuleCall call, long moreMs) =>
        World.After(World.Between(1, 1_000), () =>
        {
            process.Tell(new CallReturned(call.Id, new CallOutcome(CallOutcomeKind.Timeout, default, "simulated"), false));
            World.After(moreMs, () =>
            {
                cluster.Checkers.CallEnds(process, call);
                process.Tell(new CallReleased(call.Id));
            });
        });

    private static string Saw(ModuleCall call) => string.Join(";", call.Input.Names.Order(StringComparer.Ordinal)
        .Select(name => name + "=" + Encoding.UTF8.GetString(call.Input.GetJson(name).Span)));
}
