using Analytics.Actors.Core;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Shards;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Simulation;

/// <summary>Answers of module calls that reach others than those who asked.</summary>
public static class CallBugs
{
    public static IReadOnlyList<Func<PlantedBug>> All { get; } =
    [
        LateAnswerIntoWrongBatch,
        AnswerOfEarlierEpoch,
        () => new("late-call-releases-its-place", "5: a call past its time keeps its place until it returns")
        {
            OnMessage = (_, message) => [message is CallReturned { Releases: false } returned ? returned with { Releases = true } : message],
        },
        () => new("answers-swapped", "5: an answer goes to the station that was asked") { OnMessage = Swap() },
        () => new("call-lost", "5: every trigger is answered")
        {
            OnEffect = (_, effect) => effect is BeginCall { Call.Id.Trigger: var trigger } && trigger % 20 == 19 ? [] : [effect],
        },
    ];

    // The result of a call past its time is taken for that of the next call of the same station and module.
    private static PlantedBug LateAnswerIntoWrongBatch()
    {
        var calls = new Dictionary<CallId, ModuleCall>();
        var late = new Dictionary<(string Station, string Module), ModuleCall>();
        return new PlantedBug("late-answer-into-wrong-batch", "5: a late answer belongs to the batch that asked for it")
        {
            OnEffect = (_, effect) =>
            {
                if (effect is BeginCall begin) calls[begin.Call.Id] = begin.Call;
                return [effect];
            },
            OnMessage = (_, message) =>
            {
                if (message is CallReleased released && calls.TryGetValue(released.Call, out var ended)) late[(ended.Input.Station, ended.Module.Name)] = ended;
                if (message is not CallReturned { Outcome.Kind: CallOutcomeKind.Result } returned || !calls.TryGetValue(returned.Call, out var call)) return [message];
                return [late.Remove((call.Input.Station, call.Module.Name), out var earlier) ? returned with { Outcome = SimulatedModules.ResultOf(earlier) } : message];
            },
        };
    }

    // The answer to a call of an earlier epoch is taken for that of whatever the station's module is asked now.
    private static PlantedBug AnswerOfEarlierEpoch()
    {
        var calls = new Dictionary<CallId, ModuleCall>();
        var now = new Dictionary<(string Process, string Station, string Module), CallId>();
        return new PlantedBug("answer-of-earlier-epoch", "5: an answer comes back with its trigger, attempt and epoch")
        {
            OnEffect = (process, effect) =>
            {
                if (effect is not BeginCall { Call: var call }) return [effect];
                calls[call.Id] = call;
                now[(process.Name, call.Input.Station, call.Module.Name)] = call.Id;
                return [effect];
            },
            OnMessage = (process, message) => [message is CallReturned returned && calls.TryGetValue(returned.Call, out var call)
                ? returned with { Call = now[(process.Name, call.Input.Station, call.Module.Name)] }
                : message],
        };
    }

    // Two answers that come after each other change places.
    private static Func<SimulatedProcess, NodeMessage, IEnumerable<NodeMessage>> Swap()
    {
        CallReturned? held = null;
        return (_, message) =>
        {
            if (message is not CallReturned { Outcome.Kind: CallOutcomeKind.Result } returned) return [message];
            if (held is not { } first)
            {
                held = returned;
                return [];
            }

            held = null;
            return [first with { Outcome = returned.Outcome }, returned with { Outcome = first.Outcome }];
        };
    }
}
