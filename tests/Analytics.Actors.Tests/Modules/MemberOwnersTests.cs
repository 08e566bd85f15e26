using Analytics.Actors.Core.Modules;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Tests.Windows;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Modules;

public class MemberOwnersTests
{
    // Lists of names as fragments share them.
    private static readonly string[][] Lists = [["a", "b"], ["b", "c"], ["c", "stationId", "a"], ["stationId", "_data_quality"], ["a", "b"], ["d"]];

    /// <summary>Inputs one after the other, by what the one before has left and by the words of the rule.</summary>
    [Fact]
    public void Owners_of_an_earlier_input_are_those_of_the_input()
    {
        var fragment = from list in Gen.Choose(0, Lists.Length) from values in Gen.Choose(0, 2).ListOf(3) select (list, values);
        var input = from count in Gen.Choose(0, 4) from fragments in fragment.ListOf(count) select fragments;
        Prop.ForAll(input.ArrayOf().ToArbitrary(), inputs =>
        {
            var last = new LastOwners();
            foreach (var parts in inputs)
            {
                // One list more than there are: a topic that adds nothing.
                var fragments = parts.Select((part, index) => new TopicFragment($"T{index}", part.list == Lists.Length ? null
                    : new JsonFragment(Lists[part.list], [.. Lists[part.list].Select((_, place) => DefaultTopics.Bytes($"{part.values[place]}"))]))).ToList();
                var owners = last.Of(fragments);
                Dictionary<string, InputFragment> expected = [];
                List<string> overwritten = [];
                foreach (var (_, given) in fragments)
                {
                    foreach (var name in given?.Names.Except(["stationId", "_data_quality"]) ?? [])
                    {
                        if (expected.TryGetValue(name, out var before) && !before.GetJson(name).Span.SequenceEqual(given!.GetJson(name).Span) && !overwritten.Contains(name)) overwritten.Add(name);
                        expected[name] = given!;
                    }
                }

                owners.Owners.Keys.ShouldBe(expected.Keys);
                foreach (var (name, owner) in owners.Owners) fragments[owner].Fragment.ShouldBeSameAs(expected[name]);
                owners.FindOverwritten(fragments).ShouldBe(overwritten);
                ModuleInput.FindOverwritten(fragments).ShouldBe(overwritten);
                last.Of(fragments).ShouldBeSameAs(owners);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }
}
