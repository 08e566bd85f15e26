using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Core.Shards;

/// <summary>How a shard's module calls begin and end.</summary>
public sealed partial class Shard
{
    /// <summary>A module call ended.</summary>
    /// <param name="releases">False for a call past its time whose code still runs: its slot stays taken.</param>
    public void CallReturned(CallId call, CallOutcome outcome, bool releases, long nowMs)
    {
        if (call.Epoch != Epoch) return;
        if (!running.Remove(call))
        {
            // Its station was paused or forgotten meanwhile: nobody wants the answer, but the place is free now.
            if (releases) CallReleased(call, nowMs);
            return;
        }

        if (!around.TryFind(call.Trigger, out var station, out var trigger)) return;
        if (!releases) stuck[call] = (station, trigger.Module);

        station.CallReturned(trigger, outcome, releases, nowMs);
        AfterStation(station);
    }

    /// <summary>The code of a call past its time has returned.</summary>
    public void CallReleased(CallId call, long nowMs)
    {
        if (!stuck.Remove(call, out var slot)) return;
        slot.Station.CallReleased(slot.Module, nowMs);
        AfterStation(slot.Station);
    }

    /// <summary>The first batch that a running call answers; empty where it answers none.</summary>
    public string BatchOf(CallId call) =>
        call.Epoch == Epoch && around.TryFind(call.Trigger, out _, out var trigger) && trigger.Debts.Count > 0 ? trigger.Debts[0].BatchId : "";

    private void StartCall(Station station, ModuleConfiguration module, Trigger trigger)
    {
        var id = new CallId(Id, Epoch, trigger.Id, trigger.Attempts);
        running.Add(id);
        var call = new ModuleCall(id, module, trigger.Captured!.ToModuleInput(station.Id));
        if (isCareful) withheld.Add(call);
        else Outputs.Calls.Add(call);
    }

    private void InterruptCalls()
    {
        foreach (var station in residents.Stations.Values)
        {
            if (station.TriggerCount == 0) continue;
            station.Interrupt();
            AfterStation(station);
        }

        running.Clear();
        withheld.Clear();
    }

    // Nobody wants the answer of a call that runs any more, but its code does: it keeps its place until it returns.
    private void KeepPlace(Station station, string module, Trigger trigger)
    {
        var call = new CallId(Id, Epoch, trigger.Id, trigger.Attempts);
        running.Remove(call);
        if (withheld.Exists(waiting => waiting.Id == call) || Outputs.Calls.RemoveAll(waiting => waiting.Id == call) > 0) station.QueueOf(module).IsStuck = false;
        else stuck[call] = (station, module);
    }
}
